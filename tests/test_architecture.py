"""The shape of the code: who imports whom, which libraries load when, how long a file may get."""

from __future__ import annotations

import ast
import re
import tomllib
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions

import pytest
from processes import run_python
from source import ROOT, imports, is_ours, is_standard, module_files, tree

TIERS = (  # a part imports itself, parts on lines above, and parts to its left; nothing else
    (
        "errors",
        "units",
        "files",
        "kernels",
        "catalog",
        "once",
        "progress",
    ),  # words that all parts use
    ("settings", "tfrecord", "machine", "roster", "models", "runs"),  # what is known
    ("weights", "store", "fed_runs", "spool"),  # what is kept, and fed
    ("nearest", "train", "neighbors", "ranking"),  # what is computed of rows
    ("sql",),  # a statement's text, read and written
    ("planning", "udfs"),  # a statement → its plan; rows → features
    ("functions",),  # what users call in SQL, a file each
    ("values", "result", "query_files", "hosts"),  # where statements run
    ("session", "__init__", "doctor"),  # what programs call
    ("datasets", "report", "projects", "cli", "__main__"),  # what people start
)

UDFS_MAY_IMPORT = {
    "errors",
    "files",
    "tfrecord",
    "units",
    "catalog",
    "once",
    "kernels",
    "machine",
    "roster",
    "store",
    "weights",
    "fed_runs",
    "neighbors",
    "train",
    "ranking",
    "models",
}
"""The kernels stand beside the planner: they know what they are sent, not how it was planned."""

LIBRARIES = {  # library: parts that import it when they load, parts that do inside functions
    "click": ("cli", ""),
    "cv2": ("", "udfs datasets doctor hosts"),
    "dbt": ("hosts", ""),
    "IPython": ("", "progress"),  # it is there where a notebook is
    "duckdb": ("hosts doctor session", "values cli report datasets projects"),
    "fsspec": ("", "udfs tfrecord"),  # for images behind URIs; DuckDB's own optional dependency
    "google": ("", "tfrecord"),  # protobuf
    "google_crc32c": ("tfrecord", "udfs"),
    "h5py": ("", "weights"),  # comes with Keras
    "jinja2": ("", "query_files report"),
    "keras": ("", "roster weights udfs"),
    "lmdb": ("", "store"),
    "matplotlib": ("", "report"),
    "msgspec": (  # classes that are fields
        "cli datasets doctor errors fed_runs functions hosts kernels machine models neighbors "
        "planning progress projects query_files ranking report roster runs session settings sql "
        "store tfrecord train udfs weights",
        "",
    ),
    "numpy": (
        "hosts doctor spool nearest train neighbors ranking udfs",
        "models result roster weights datasets",
    ),
    "pandas": ("", "result"),
    "platformdirs": ("", "files"),
    "onnx": ("", "udfs"),
    "openvino": ("", "udfs"),
    "polars": ("", "result"),
    "pyarrow": (
        "hosts doctor session result fed_runs train neighbors ranking udfs",
        "values cli datasets doctor tfrecord",
    ),
    "psutil": ("", "machine"),  # on Windows
    "pynvml": ("", "udfs"),  # with the extra gpu
    "pyspark": ("hosts", "hosts"),
    "rich": ("", "cli progress"),
    "scipy": ("", "nearest train ranking udfs"),
    "sklearn": ("", "train datasets"),
    "sqlglot": ("sql", ""),
    "tensorflow": ("", "roster weights udfs"),
    "threadpoolctl": ("", "nearest"),  # comes with scikit-learn
    "torch": ("", "result"),  # who wants tensors of PyTorch has it
    "yaml": ("", "query_files"),
}

HEAVY = ("tensorflow", "keras", "duckdb", "sklearn", "scipy", "pyarrow", "pandas", "cv2", "sqlglot")

MODULES = sorted(module_files())
every_module = pytest.mark.parametrize("module", MODULES)


def part(module: str) -> str:
    """Return the part of the package that a module belongs to, as TIERS names it."""
    names = module.split(".")[1:]
    return names[0] if names else "__init__"


PLACE = {name: place for place, name in enumerate(name for names in TIERS for name in names)}


@every_module
def test_every_part_has_its_tier(module):
    assert part(module) in PLACE, f"give {part(module)} its line in TIERS"


def test_tiers_are_few_and_name_what_there_is():
    assert len(TIERS) <= 10, "a person keeps no more in the head"
    assert len(PLACE) == sum(map(len, TIERS)), "no part stands on two"
    assert set(PLACE) == {part(module) for module in MODULES}


@every_module
def test_imports_point_upwards(module):
    own = part(module)
    wrong = [
        f"line {found.line}: {own} imports {part(found.module)}"
        for found in imports(module)
        if is_ours(found.module)
        and part(found.module) != own
        and PLACE[part(found.module)] > PLACE[own]
    ]
    assert not wrong, "; ".join(wrong)


def test_no_two_files_import_each_other():
    graph = {
        module: {i.module for i in imports(module) if is_ours(i.module) and i.module != module}
        for module in MODULES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@every_module
def test_kernels_stand_beside_the_planner(module):
    known = {part(found.module) for found in imports(module) if is_ours(found.module)}
    if part(module) == "udfs":
        assert known <= UDFS_MAY_IMPORT | {"udfs"}
    else:
        assert "udfs" not in known, "kernels are found by name: catalog.load(kernels.PACKAGE, …)"
        named = "vista_sql.udfs" in (module_files()[module]).read_text()
        assert not named or module == "vista_sql.kernels", "say kernels.PACKAGE"


@every_module
def test_libraries_load_where_it_is_said(module):
    wrong = []
    for found in imports(module):
        library = found.module.partition(".")[0]
        if is_ours(library) or is_standard(library) or found.when == "typing":
            continue
        assert library in LIBRARIES, f"say in LIBRARIES who may import {library}"
        loading, calling = (names.split() for names in LIBRARIES[library])
        allowed = loading if found.when == "load" else [*loading, *calling]
        if part(module) not in allowed:
            wrong.append(f"line {found.line} imports {library} at {found.when}")
    assert not wrong, "; ".join(wrong)


def test_every_imported_library_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    texts = list(project["dependencies"])
    named = ("cpu", "gpu", "openvino", "dbt", "polars", "report", "spark")
    texts += [text for name in named for text in extras[name]]
    declared = {re.match(r"[\w-]+", text)[0].lower() for text in texts}
    homes = packages_distributions()
    come_along = {"IPython", "fsspec", "h5py", "keras", "threadpoolctl", "torch"}
    for library in LIBRARIES.keys() - come_along:
        names = homes.get(library, [library])  # psutil is not on every system
        home = {name.lower().replace("_", "-") for name in names}
        assert home & declared, f"{library} comes from {home}, which pyproject.toml does not name"


@pytest.fixture
def in_python(tmp_path):
    return lambda code: run_python(tmp_path / "script.py", code)


def test_importing_the_package_loads_no_library(in_python):
    seconds, loaded = in_python(f"""
        import sys
        import time
        before = time.perf_counter()
        import vista_sql
        print(time.perf_counter() - before)
        print([name for name in {HEAVY!r} if name in sys.modules])
        """)
    assert loaded == "[]"
    assert float(seconds) < 1  # about 0.01 where nothing else runs


NEVER_TO_PLAN = (
    "tensorflow",
    "keras",
    "sklearn",
    "scipy",
    "pandas",
    "google.protobuf",
    "cv2",
    "ssl",
)
"""What neither planning nor looking anything up has to wait for."""


def test_planning_never_loads_tensorflow(in_python):
    (loaded,) = in_python(f"""
        import sys
        import vista_sql
        with vista_sql.connect() as db:
            db.query("CREATE TABLE images AS SELECT 1 AS id, 'a.png' AS file").arrow()
            statement = "SELECT fc6 FROM TRANSFER(cnn => 'lenet5', layers => ['fc6'])"
            assert "fc6" in db.explain(statement)
            assert "vista_infer" in db.rewrite(statement)
            assert db.query("SELECT * FROM VISTA_CNNS()").arrow().num_rows
            assert db.query("SELECT * FROM VISTA_LAYERS('lenet5')").arrow().num_rows
        print([name for name in {NEVER_TO_PLAN!r} if name in sys.modules])
        """)
    assert loaded == "[]"  # where none is installed: golden/test_without_engines.py


CODE = [
    file
    for folder in ("vista_sql", "udfs", "scripts", "benchmarks")
    for pattern in ("*.py", "*.c")
    for file in sorted((ROOT / folder).rglob(pattern))
]


@pytest.mark.parametrize("file", CODE, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_stay_readable(file):
    assert len(file.read_text().splitlines()) <= 600, "split it: past 400 lines it was time to look"
    assert file.stem not in {"utils", "util", "helpers", "misc", "common"}, "name what it decides"


CHANGES = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"}
CHANGES |= {"setdefault", "sort", "update"}

PER_PROCESS = {
    "vista_sql.udfs.network.engines.openvino.process._cores",
    "vista_sql.udfs.network.engines.tensorflow.process._loaded",
}
"""What Python itself has once in a process: the imported engines."""


@every_module
def test_no_state_at_module_level(module):
    """Module-level containers are constants; what changes lives in an object that someone owns."""
    file = tree(module_files()[module])
    names = {
        target.id
        for node in file.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(file):
        assert not isinstance(node, ast.Global), f"line {node.lineno}: global {node.names}"
        stored = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
        called = isinstance(node, ast.Attribute) and node.attr in CHANGES
        if not (stored or called) or not isinstance(node.value, ast.Name):
            continue
        name = node.value.id
        if name in names and f"{module}.{name}" not in PER_PROCESS:
            pytest.fail(f"line {node.lineno} changes {name}, which the whole module shares")


def test_packages_are_the_folders():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = [
        ".".join(("vista_sql", *init.parent.relative_to(start).parts))
        for start in (ROOT / "vista_sql", ROOT)
        for init in start.rglob("__init__.py")
        if start != ROOT or init.relative_to(ROOT).parts[0] in {"udfs", "queries"}
    ]
    assert sorted(listed) == sorted(folders)
    bare = {file.parent for file in (ROOT / "vista_sql").rglob("*.py")}
    assert all((folder / "__init__.py").exists() for folder in bare)


def test_files_of_tests_have_names_of_their_own():
    """Pytest imports them by name: with two of one name it collects neither folder."""
    names = [file.name for file in sorted((ROOT / "tests").rglob("test_*.py"))]
    assert sorted(set(names)) == sorted(names)


TEST_FILES = [file for file in (ROOT / "tests").rglob("*.py") if file.name != "conftest.py"]


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.stem)
def test_tests_do_not_import_tests(file):
    """What files of tests share stands in a file of its own, next to conftest.py."""
    text = file.read_text()
    tests = "|".join(other.stem for other in TEST_FILES if other.stem.startswith("test_"))
    found = re.findall(rf"^\s*(?:from|import) (?:{tests})\b.*", text, re.MULTILINE)
    assert not found  # in the texts of programs that they start neither
