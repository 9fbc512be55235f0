"""What the documentation shows is so: doctests, and the blocks of README.md and docs/*.md."""

from __future__ import annotations

import doctest
import importlib
import re
import runpy

import documents
import pytest
import sparks
from source import ROOT, module_files

from vista_sql.hosts import engines
from vista_sql.planning.engines import Engines

MODULES = sorted(set(module_files()) - {"vista_sql.__main__"})
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

SPARED = ("extending.md", "spark.md")
"""A minute, and half of one: networks and contract tests in a copy; a cluster that trains."""


@pytest.mark.parametrize("module", [*MODULES, "documents"])
def test_doctests(module):
    found = importlib.import_module(module)
    assert found.__doc__, "a module's docstring says what the file decides"
    failed, _ = doctest.testmod(found, optionflags=doctest.ELLIPSIS)
    assert failed == 0


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy"  # Keras's own, when it saves
)
@pytest.mark.parametrize(
    "document",
    [pytest.param(d, marks=pytest.mark.full) if d.name in SPARED else d for d in DOCUMENTS],
    ids=lambda document: document.name,
)
def test_documents(document, tmp_path, monkeypatch, accept, request):
    monkeypatch.chdir(tmp_path)
    if document.name == "spark.md":  # whose session is the tests' own
        spark = request.getfixturevalue("spark")
        monkeypatch.chdir(sparks.folder_of(spark))
        for name in ("digits", "digit_images"):
            request.addfinalizer(lambda name=name: spark.catalog.dropTempView(name))
    has_bfloat16 = engines.here().has_bfloat16
    both = Engines(frozenset({"tensorflow", "openvino"}), has_bfloat16=has_bfloat16)
    monkeypatch.setattr(engines, "here", lambda: both)  # plans are the same on every machine
    if document.name == "tutorial.md":  # whose processes share their features, as a user's do
        monkeypatch.setenv("VISTA_SQL_STORE", str(tmp_path / "store"))
    text = document.read_text()
    told = documents.run(text, document.name, accept)
    if told != text:
        document.write_text(told)


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=lambda document: document.name
)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_reference_is_the_codes(accept):
    build = runpy.run_path(str(ROOT / "scripts" / "build_reference.py"))
    text = build["reference_text"]()
    if accept:
        build["PAGE"].write_text(text, encoding="utf-8")
    told = build["PAGE"].read_text(encoding="utf-8")
    assert told == text, "run scripts/build_reference.py, and read the difference"


def test_readme_has_the_two_commands():
    found = documents.commands((ROOT / "README.md").read_text())
    assert set(found) == {"demo", "test"}
    for name, command in found.items():
        assert len(command.splitlines()) == 1, name
        assert command.startswith("python3 -m venv .venv && "), name
        assert "-c requirements.lock" in command, name
    assert "vista demo" in found["demo"]
    assert "pytest" in found["test"]


def test_readme_is_one_page_that_leads_to_every_other():
    text = (ROOT / "README.md").read_text()
    words = [word for word in text.split() if re.search(r"\w", word)]  # frames of tables are none
    assert len(words) <= 900
    linked = set(re.findall(r"\]\(([^)#]+)[^)]*\)", text))
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages | {"queries/README.md", "CONTRIBUTING.md"} <= linked


def test_the_glossary_has_twelve_words_of_one_or_two_sentences():
    text = (ROOT / "docs" / "glossary.md").read_text()
    entries = re.findall(r"^\*\*([\w ]+)\.\*\* (.*?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(entries) == len({word for word, _ in entries}) == 12
    assert [word for word, said in entries if len(re.findall(r"[.](?:\s|$)", said)) > 2] == []


def test_outputs_are_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    document = "```python\nprint(1)\n```\n\n```text\n2\n```\n\n```console\n$ echo a\nb\n```\n"
    with pytest.raises(AssertionError, match="line 2 shows:\n1"):
        documents.run(document, "page")
    accepted = documents.run(document, "page", accept=True)
    assert accepted == document.replace("2", "1").replace("\nb\n", "\na\n")


@pytest.mark.parametrize("kind", ["sh", "yaml", ""])
def test_blocks_that_do_not_run_say_why(kind):
    block = f"```{kind}\nsomething\n```\n"
    with pytest.raises(AssertionError, match="page, line 2: "):
        documents.run(block, "page")
    documents.run(f"<!-- not run: it is an example -->\n{block}", "page")


def test_setup_is_shared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    documents.run(
        "<!-- setup\nx = 7\n-->\n\n```python\nprint(x)\n```\n\n```text\n7\n```\n"
        "\n```sql\nSELECT 1 AS a\n```\n\n```text\n… int32 … 1 …\n```\n",
        "page",
    )


def test_contributing_names_files_that_there_are():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    documents.run(text, "CONTRIBUTING.md")
    named = re.findall(r"`((?:tests|scripts|vista_sql|udfs|docs)/[\w/.]*)`", text)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
