"""A query file's SELECT becomes SQL that stores its rows: for each kind, over what is there."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from vista_sql.errors import QueryError
from vista_sql.query_files import QueryFile, TableName
from vista_sql.query_files.materializations import Statements, statements

NEW = '"foods__vista_new"'


def file(materialized, **more):
    path = Path("foods.sql")
    return QueryFile("foods", path, "", materialized, TableName("foods"), **more)


@pytest.mark.parametrize(
    ("materialized", "existing", "expected"),
    [
        ("table", None, Statements(('CREATE OR REPLACE TABLE "foods" AS SELECT 1 AS id',))),
        ("table", "table", Statements(('CREATE OR REPLACE TABLE "foods" AS SELECT 1 AS id',))),
        ("incremental", None, Statements(('CREATE OR REPLACE TABLE "foods" AS SELECT 1 AS id',))),
        ("view", None, Statements(('CREATE OR REPLACE VIEW "foods" AS SELECT 1 AS id',))),
        ("view", "view", Statements(('CREATE OR REPLACE VIEW "foods" AS SELECT 1 AS id',))),
        (
            "view",
            "table",
            Statements((), ('DROP TABLE "foods"', 'CREATE VIEW "foods" AS SELECT 1 AS id')),
        ),
        (
            "table",
            "view",
            Statements(
                (f"CREATE OR REPLACE TABLE {NEW} AS SELECT 1 AS id",),
                ('DROP VIEW "foods"', f'ALTER TABLE {NEW} RENAME TO "foods"'),
                (f"DROP TABLE IF EXISTS {NEW}",),
            ),
        ),
    ],
)
def test_each_kind_over_what_is_there(materialized, existing, expected):
    assert statements(file(materialized), "SELECT 1 AS id", existing) == expected


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        ((), [(1, "new"), (1, "old"), (2, "old"), (3, "new")]),
        (("id",), [(1, "new"), (2, "old"), (3, "new")]),
        (("id", "x"), [(1, "new"), (1, "old"), (2, "old"), (3, "new")]),
    ],
)
def test_new_rows_take_the_place_of_their_key(key, rows):
    made = statements(
        file("incremental", unique_key=key),
        "SELECT 'new' AS x, unnest([1, 3]) AS id",
        "table",
        ["id", "x"],
    )
    with duckdb.connect() as con:
        con.execute("CREATE TABLE foods AS SELECT unnest([1, 2]) AS id, 'old' AS x")
        for text in (*made.make, *made.swap, *made.tidy):
            con.execute(text)
        assert con.execute("FROM foods ORDER BY ALL").fetchall() == rows
        assert con.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (1,)


def test_names_are_quoted():
    odd = QueryFile("a", Path("a.sql"), "", "incremental", TableName('a "b"'), unique_key=("c d",))
    made = statements(odd, "SELECT 1", "table", ["c d"])
    assert made.swap[0] == (
        'DELETE FROM "a ""b""" WHERE ("c d") IN (SELECT ("c d") FROM "a ""b""__vista_new")'
    )


def test_a_table_that_the_select_reads_is_not_replaced():
    for sql in ("SELECT * FROM FOODS", "SELECT * FROM (FROM foods) JOIN b USING (id)"):
        with pytest.raises(QueryError, match='it would replace "foods", which it reads'):
            statements(file("table"), sql, "table")
        assert statements(file("incremental"), sql, "table", ["id"]).make  # adds to it
    with pytest.raises(QueryError, match="it would replace"):
        statements(file("view", sources=(TableName("Foods", "raw"),)), "SELECT 1", None)
