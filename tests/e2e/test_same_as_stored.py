"""Statements over TRANSFER mean what they mean over a stored table of its rows."""

from __future__ import annotations

import foods
import pytest

CALL = "TRANSFER(cnn => 'lenet5', layers => ['f6'], images => 'pictures', structured => 'goods')"

STATEMENTS = [
    # a projection without a name is called otherwise by sqlglot than by DuckDB
    "SELECT id::VARCHAR, f6[1] FROM {} ORDER BY id LIMIT 4",
    "SELECT price::INT, id, f6[1] FROM {} ORDER BY price LIMIT 2",
    "SELECT -id, f6[1] FROM {} ORDER BY id LIMIT 2",
    "SELECT upper(s), f6[1] FROM {} ORDER BY 1 DESC LIMIT 2",
    "SELECT id AS price, f6[1] FROM {} ORDER BY price DESC LIMIT 2",
    "SELECT price AS id, f6[1] FROM {} ORDER BY id DESC, f6[1] LIMIT 3",
    "SELECT id::VARCHAR AS s, f6[1] FROM {} ORDER BY s LIMIT 3",
    "SELECT x FROM (SELECT id::VARCHAR AS x, id, f6 FROM {}) ORDER BY id LIMIT 3",
    "SELECT (SELECT 1), f6[1] FROM {} ORDER BY 1, 2 LIMIT 3",
    # what an ORDER BY says of NULLs
    "SELECT id, f6[1] FROM {} ORDER BY price NULLS FIRST, id LIMIT 3",
    "SELECT id, f6[1] FROM {} ORDER BY price NULLS LAST, id LIMIT 3",
    "SELECT id, f6[1] FROM {} ORDER BY price DESC NULLS FIRST, id LIMIT 3",
    "SELECT id, f6[1] FROM {} ORDER BY ALL LIMIT 3",
    "SELECT id, f6[1] FROM {} ORDER BY ALL DESC LIMIT 3",
    "SELECT id, f6[1] FROM {} QUALIFY row_number() OVER (ORDER BY price, id) <= 3",
    # columns that a statement uses without looking as if it did
    "SELECT count(*) FROM {} t WHERE t.id IN (SELECT k FROM others WHERE v < t.stock)",
    "SELECT g FROM (SELECT t.stock AS g, count(DISTINCT t.s) AS a FROM {} t GROUP BY 1) ORDER BY g",
    "SELECT s.upper(), f6[1] FROM {} ORDER BY id",
    "SELECT s.upper().lower() FROM {} ORDER BY ALL LIMIT 3",
    "SELECT id, f6[1] FROM {} t WHERE EXISTS (SELECT t.id FROM others) ORDER BY id",
    "SELECT id FROM {} t WHERE (SELECT max(v) FROM others WHERE k = t.id) IS NULL ORDER BY id",
]


@pytest.fixture(scope="module")
def db():
    with foods.connect() as session:
        session.con.execute(
            "CREATE TABLE goods AS SELECT i AS id, nullif(i, 7) * 1.5 AS price, 'x' || i AS s, "
            "i AS stock FROM range(20) AS r(i);"
            "CREATE TABLE pictures AS SELECT goods.id, first(image ORDER BY images.id) AS image "
            "FROM goods JOIN images ON images.id = goods.id % 4 GROUP BY ALL;"
            "CREATE TABLE others AS SELECT 3 AS k, 1 AS v"
        )
        session.query(f"CREATE TABLE stored AS FROM {CALL}").arrow()
        yield session


@pytest.mark.parametrize("null_order", ["nulls_last", "nulls_first"])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_rows_are_those_of_the_stored_table(db, statement, order, null_order):
    db.con.execute(f"SET default_null_order = '{null_order}'; SET default_order = '{order}'")
    found = db.query(statement.format(CALL)).fetchall()
    expected = db.con.sql(statement.format("stored")).fetchall()
    if "ORDER BY" not in statement or "QUALIFY" in statement:
        found, expected = sorted(found), sorted(expected)
    assert found == expected


def test_a_column_that_is_read_after_all_is_planned_again(db):
    """DuckDB may evaluate what a statement seems not to use: it is neither wrong nor an error."""
    db.con.execute("RESET default_null_order; RESET default_order")
    db.query(f"CREATE OR REPLACE TABLE made AS {STATEMENTS[17].format(CALL)}").arrow()
    assert (
        db.con.sql("FROM made").fetchall() == db.con.sql(STATEMENTS[17].format("stored")).fetchall()
    )
    assert foods.leftovers(db.con) == []
