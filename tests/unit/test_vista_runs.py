"""VISTA_RUNS() and VISTA_ERRORS(): a home folder's records as rows."""

from __future__ import annotations

from types import SimpleNamespace

import duckdb
import pytest

from vista_sql import catalog, kernels
from vista_sql.errors import UnknownNameError
from vista_sql.functions import vista_errors, vista_runs
from vista_sql.runs import Runs
from vista_sql.sql.calls import Call


@pytest.fixture
def home(tmp_path):
    """A folder with two runs; of the newer one two images could not be read."""
    counts = catalog.module(kernels.PACKAGE, "passes.counts")
    journal = Runs(str(tmp_path))
    for statement, reasons in (("SELECT 'a'", []), ("SELECT 2", [("4", "it's cut"), (None, "no")])):
        tally = counts.Tally(5, 4, len(reasons), reasons)
        counters = counts.RunCounts(images_inferred=3, images_from_store=1, tallies={0: tally})
        journal.close(journal.open(statement), "fused/after", counters)
    return str(tmp_path)


def table(function, home, **arguments):
    call = Call(function.FUNCTION.name, arguments, {})
    return duckdb.sql(function.FUNCTION.expand(call, SimpleNamespace(home=home)))


def test_a_row_per_run_newest_first(home):
    found = table(vista_runs, home)
    assert dict(zip(found.columns, map(str, found.types), strict=True)) == vista_runs.COLUMNS
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    assert [row["statement"] for row in rows] == ["SELECT 2", "SELECT 'a'"]
    assert [row["errors"] for row in rows] == [2, 0]
    counts = ("rows", "images", "images_inferred", "images_from_store")
    assert [rows[0][name] for name in counts] == [5, 4, 3, 1]
    assert rows[0]["started"].year >= 2026
    assert rows[0]["peak_bytes"] > 0


def test_a_row_per_image_that_could_not_be_read(home):
    found = table(vista_errors, home)
    assert dict(zip(found.columns, map(str, found.types), strict=True)) == vista_errors.COLUMNS
    newest = table(vista_runs, home).fetchall()[0][0]
    assert found.fetchall() == [(newest, "4", "it's cut"), (newest, None, "no")]


@pytest.mark.parametrize("function", [vista_runs, vista_errors])
def test_a_folder_without_runs_has_no_rows(function, tmp_path):
    found = table(function, str(tmp_path / "new"))
    assert (found.fetchall(), found.columns) == ([], list(function.COLUMNS))


@pytest.mark.parametrize("function", [vista_runs, vista_errors])
def test_they_take_no_argument(function):
    with pytest.raises(UnknownNameError, match="rows"):
        Call(function.FUNCTION.name, {"rows": 3}, {}).checked()
