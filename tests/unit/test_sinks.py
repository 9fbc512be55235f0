"""Where rows go, and in which groups."""

from __future__ import annotations

import duckdb
import pytest

from vista_sql.sql import sinks


@pytest.mark.parametrize(
    ("text", "sink"),
    [
        ("SELECT 1", "rows"),
        ("", "rows"),
        ("FROM t", "rows"),
        ("CREATE TABLE a AS SELECT 1", "file table"),
        ("CREATE OR REPLACE TEMP TABLE a AS SELECT 1", "table"),
        ("insert into a select 1", "file table"),
        ("COPY (SELECT 1) TO 'a.csv'", "rows"),
        ("COPY (SELECT 1) TO 'a.parquet'", "parquet"),
        ("copy (select 1) to 'a.pq' (format parquet)", "parquet"),
        ("COPY (SELECT 1) TO 'a.parquet' (FORMAT csv)", "rows"),
    ],
)
def test_where_rows_go(text, sink):
    assert sinks.sink_of(text, "file table") == sink


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("COPY (SELECT 1) TO 'a.parquet'", " (FORMAT parquet, ROW_GROUP_SIZE 7)"),
        ("COPY (SELECT 1) TO 'a.x' (FORMAT parquet)", ", ROW_GROUP_SIZE 7)"),
        ("COPY (SELECT 1) TO 'a.parquet' (COMPRESSION zstd)", ", ROW_GROUP_SIZE 7)"),
        ("COPY (SELECT 1) TO 'a.parquet' (ROW_GROUP_SIZE 9)", None),
        ("COPY (SELECT 1) TO 'a.parquet' (FORMAT parquet, row_group_size_bytes '1MB')", None),
        ("COPY (SELECT 1) TO 'a.csv'", None),
        ("SELECT 'COPY (SELECT 1) TO a.parquet'", None),
    ],
)
def test_row_groups_are_set_where_the_user_did_not(text, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = sinks.with_row_groups(text, 7)
    options = text.endswith(")")
    assert found == (text if expected is None else text[: len(text) - options] + expected)
    if "row_group_size_bytes" not in text:  # DuckDB wants another setting for it
        duckdb.connect().execute(found)
