"""Bugs of DuckDB that docs/sql_hosts.md tells of: when one is mended, its test says so."""

from __future__ import annotations

import duckdb
import pytest


@pytest.mark.xfail(raises=duckdb.ConversionException, strict=True)
def test_outer_join_of_arrays_with_a_condition_on_the_other_side_alone():
    with duckdb.connect() as con:
        con.execute("CREATE TABLE o AS SELECT i AS id FROM range(7) AS r(i)")
        con.execute(
            "CREATE TABLE t AS SELECT i AS id, [1, 2, 3, i]::FLOAT[4] AS f FROM range(5) AS r(i)"
        )
        query = "SELECT o.id FROM o LEFT JOIN t ON t.id = o.id AND o.id > 1 WHERE t.f[1] IS NULL"
        assert len(con.sql(query).fetchall()) == 4
