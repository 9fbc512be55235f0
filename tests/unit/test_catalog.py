"""An open set is a folder: what its entries are, and what a wrong name or a wrong file says."""

from __future__ import annotations

import importlib

import pytest

from vista_sql import catalog
from vista_sql.errors import UnknownNameError


@pytest.fixture
def fruits(tmp_path, monkeypatch):
    """A package with entries, a private file, a folder, and a file that holds no entry."""
    folder = tmp_path / "catalog_of_fruits"
    (folder / "parts").mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "pear": "FRUIT = 'a pear'",
        "apple": "FRUIT = 'an apple'",
        "_peeled": "FRUIT = 'private'",
        "parts/__init__": "FRUIT = 'a helper'",
        "stone": "FRUIT = 7",
        "broken": "raise RuntimeError('imported')",
    }.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    catalog.names.cache_clear()
    yield folder.name
    catalog.names.cache_clear()


def test_entries_are_the_files_without_an_underscore(fruits):
    """Nothing of them is imported, and folders are no entries."""
    assert catalog.names(fruits) == ("apple", "broken", "pear", "stone")


def test_an_entry_is_one_attribute_of_its_file(fruits):
    assert catalog.load(fruits, "pear", "FRUIT", str) == "a pear"
    assert catalog.module(fruits, "apple").FRUIT == "an apple"


def test_an_unknown_name_tells_those_there_are(fruits):
    for name in ("pera", "_peeled", "parts", "pear.x"):
        with pytest.raises(UnknownNameError, match="unknown catalog_of_fruits"):
            catalog.load(fruits, name, "FRUIT", str)
    with pytest.raises(UnknownNameError, match="did you mean 'pear'"):
        catalog.load(fruits, "pera", "FRUIT", str)


@pytest.mark.parametrize(("name", "attribute"), [("stone", "FRUIT"), ("pear", "LEAF")])
def test_a_file_without_its_entry_is_a_fault_of_ours(fruits, name, attribute):
    with pytest.raises(TypeError, match=rf"{fruits}\.{name}\.{attribute} is not a str"):
        catalog.load(fruits, name, attribute, str)
