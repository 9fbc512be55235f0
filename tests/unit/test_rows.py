"""Narrow rows are handed out in batches, as often as they are read, and leave no file."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from vista_sql.hosts.duckdb import rows

QUERY = "SELECT i AS a, i * 2 AS b FROM range(10) AS r(i)"


@pytest.fixture
def con():
    with duckdb.connect() as con:
        yield con


@pytest.fixture(params=["streamed", "spooled"])
def made(request, con, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = []
    if request.param == "streamed":
        return rows.streamed(con, QUERY, 3, done.append), done
    return rows.spooled(con, QUERY, None, 3, done.append), done


def test_batches_have_the_rows_asked_for(made):
    found, done = made
    read = pa.RecordBatchReader.from_stream(found)
    assert [batch.num_rows for batch in read] == [3, 3, 3, 1]
    assert [n for n in done if n] == [3, 3, 3, 1]


def test_rows_can_be_read_again(con, made):
    con.register("r", made[0])
    assert con.sql("SELECT sum(a) FROM r").fetchall() == [(45,)]
    assert con.sql(
        "SELECT x.a FROM r AS x JOIN r AS y ON x.a = y.b WHERE x.a > 5 ORDER BY 1"
    ).fetchall() == [(6,), (8,)]
    con.unregister("r")
    with pytest.raises(duckdb.CatalogException):
        con.sql("FROM r")


def test_columns_and_filters_are_applied_exactly(con, made):
    con.register("r", made[0])
    assert con.sql("SELECT b FROM r WHERE a >= 7 AND b <> 16").fetchall() == [(14,), (18,)]
    con.unregister("r")


def test_limit_stops_reading(con):
    done: list[int] = []
    big = "SELECT i AS a FROM range(1000000) AS r(i)"
    con.register("r", rows.streamed(con, big, 10, done.append))
    assert con.sql("SELECT a FROM r LIMIT 5").fetchall() == [(i,) for i in range(5)]
    assert sum(done) < 1000000
    con.unregister("r")


def test_spooled_rows_take_their_file_with_them(con, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    con.execute("CREATE TEMP TABLE mine AS SELECT 1 AS a")
    found = rows.spooled(con, "SELECT a FROM mine WHERE a = $1", [1], 3, lambda _: None)
    assert len(list(Path(tmp_path).iterdir())) == 1
    assert pa.table(found).to_pylist() == [{"a": 1}]
    del found
    gc.collect()
    assert list(Path(tmp_path).iterdir()) == []
