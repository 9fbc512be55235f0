from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from vista_sql import models
from vista_sql.errors import ModelError, UnknownNameError


def row(part, f1=0.5, **facts):
    return {
        "part": part,
        "feature_set": f"structured+{part}",
        "layer": part,
        "f1_score": f1,
        "log_loss": 0.3,
        "dims": 4,
        "structured": [],
        "layers": [[part, 4]],
        "trainer": "logistic",
        **facts,
    }


def publish(home, name="healthy", parts=("low", "high"), fingerprint="f", **facts):
    rows = [row(part, f1) for part, f1 in zip(parts, (0.7, 0.9, 0.8), strict=False)]
    whole = {"rows": rows, "fingerprint": fingerprint, "label": "y", "classes": ["a", "b"]}
    arrays = [{"coef": np.full((1, 4), float(i))} for i in range(len(rows))]
    return models.publish(str(home), name, whole | facts, arrays)


def test_versions_count_up_and_the_newest_is_the_default(tmp_path):
    assert [publish(tmp_path) for _ in range(3)] == [1, 2, 3]
    assert models.versions(str(tmp_path), "HEALTHY") == [1, 2, 3]
    assert models.find(str(tmp_path), "healthy").reference == "healthy/high@3"


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("healthy", "healthy/high@2"),
        ("Healthy/LOW", "healthy/low@2"),
        ("healthy@1", "healthy/high@1"),
        ("healthy/structured+low@1", "healthy/low@1"),
        (" healthy/low@2 ", "healthy/low@2"),
    ],
)
def test_references(tmp_path, reference, found):
    publish(tmp_path)
    publish(tmp_path)
    model = models.find(str(tmp_path), reference)
    assert model.reference == found
    assert model.arrays()["coef"].shape == (1, 4)


def test_a_part_may_hold_any_character(tmp_path):
    publish(tmp_path, parts=("block1/conv@2x", "b: 0.1"))
    for part in ("block1/conv@2x", "b: 0.1"):
        assert models.find(str(tmp_path), f"healthy/{part}@1").row["part"] == part


def test_unknown_references_say_what_there_is(tmp_path):
    with pytest.raises(UnknownNameError, match="there is none"):
        models.find(str(tmp_path), "healthy")
    publish(tmp_path)
    for wrong, hint in [
        ("healty", "did you mean 'healthy'"),
        ("healthy@9", "healthy@1"),
        ("healthy/lo", "did you mean 'healthy/low@1'"),
        ("../healthy", "healthy"),
        ("@", "healthy"),
    ]:
        with pytest.raises(UnknownNameError) as caught:
            models.find(str(tmp_path), wrong)
        assert hint in str(caught.value)


def test_rows_without_test_figures_are_named(tmp_path):
    publish(tmp_path, rows=[row("low", None), row("high", None)])
    with pytest.raises(ModelError, match="name one: healthy/low@1, healthy/high@1"):
        models.find(str(tmp_path), "healthy")
    assert models.find(str(tmp_path), "healthy/low").reference == "healthy/low@1"


def test_a_fingerprint_finds_its_version(tmp_path):
    publish(tmp_path, fingerprint="one")
    publish(tmp_path, fingerprint="two")
    assert models.with_fingerprint(str(tmp_path), "healthy", "one") == 1
    assert models.with_fingerprint(str(tmp_path), "healthy", "three") is None


def test_publishing_from_several_threads_loses_nothing(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: publish(tmp_path, fingerprint=str(i)), range(24)))
    assert sorted(found) == list(range(1, 25))
    kept = {models.document(str(tmp_path), "healthy", v)["fingerprint"] for v in found}
    assert kept == {str(i) for i in range(24)}
    assert [p.name for p in (tmp_path / "models/healthy").iterdir() if p.name[0] == "."] == []


def test_a_failed_publication_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="zip"):
        models.publish(str(tmp_path), "m", {"rows": [row("a")]}, [])
    assert models.names(str(tmp_path)) == []
    assert list((tmp_path / "models/m").iterdir()) == []


def test_unfinished_and_strange_folders_are_no_models(tmp_path):
    publish(tmp_path)
    (tmp_path / "models/healthy/7").mkdir()
    (tmp_path / "models/healthy/.draft-x").mkdir()
    (tmp_path / "models/.DS_Store").touch()
    assert models.versions(str(tmp_path), "healthy") == [1]
    assert models.names(str(tmp_path)) == ["healthy"]
    assert len(list(models.entries(str(tmp_path)))) == 2


@pytest.mark.parametrize(
    ("text", "message"), [("{", "damaged"), ('{"format": 99}', "format 99; this version")]
)
def test_documents_that_cannot_be_read(tmp_path, text, message):
    publish(tmp_path)
    Path(tmp_path / "models/healthy/1/model.json").write_text(text)
    with pytest.raises(ModelError, match=message):
        models.find(str(tmp_path), "healthy")


@pytest.mark.parametrize("name", ["", "a/b", "a@1", "..", ".x", "a ", "ä", "x" * 101])
def test_names_that_cannot_be(name):
    assert not models.is_name(name)


@pytest.mark.parametrize("name", ["healthy", "Is Healthy-2.0", "_x", "7"])
def test_names_that_can(name):
    assert models.is_name(name)
