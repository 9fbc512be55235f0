"""attach(con): plain con.sql() has TRANSFER, in the user's own transaction and connection."""

# ruff: noqa: E501 - a statement is a line

from __future__ import annotations

import threading

import duckdb
import foods
import pytest

import vista_sql

A = "cnn => 'lenet5', layers => ['f6']"


@pytest.fixture
def con():
    with duckdb.connect() as con:
        foods.fill(con)
        vista_sql.attach(con)
        yield con


def rows(con, text):
    return foods.sorted_rows(con.sql(text).fetchall())


def test_the_image_column_is_found_at_run_time(con):
    want = rows(con, f"SELECT id, f6 FROM TRANSFER({A}) WHERE id < 3")
    assert len(want) == 3
    con.execute("CREATE TEMP TABLE t AS SELECT id, image FROM images")
    assert rows(con, f"SELECT id, f6 FROM TRANSFER({A}, images => 't') WHERE id < 3") == want
    cte = f"WITH c AS (FROM images) SELECT id, f6 FROM TRANSFER({A}, images => 'c') WHERE id < 3"
    assert rows(con, cte) == want
    con.execute("CREATE TABLE named AS SELECT id, image AS pixels, 1 AS n FROM images")
    assert rows(con, f"SELECT id, f6 FROM TRANSFER({A}, images => named) WHERE id < 3") == want
    assert con.sql(f"SELECT * FROM TRANSFER({A}, images => named)").columns == [
        "id",
        "n",
        "f6",
        "error",
    ]


def test_an_image_column_that_could_not_be_seen_is_asked_for(con):
    con.execute("CREATE TEMP TABLE t AS SELECT id, image AS pixels, 1 AS n FROM images")
    with pytest.raises(duckdb.Error, match="give image => 'pixels'"):
        con.sql(f"SELECT f6 FROM TRANSFER({A}, images => 't')").fetchall()
    text = f"SELECT * FROM TRANSFER({A}, images => 't', image => 'pixels')"
    assert con.sql(text).columns == ["id", "n", "f6", "error"]
    joined = (
        f"SELECT * EXCLUDE (tags, meta) FROM TRANSFER({A}, images => 't', structured => 'foods')"
    )
    assert len(con.sql(joined).fetchall()) == 12
    con.execute("CREATE TEMP TABLE two AS SELECT id, image, image AS again FROM images")
    with pytest.raises(duckdb.Error, match=r"2 BLOB columns \(image, again\): say which"):
        con.sql(f"SELECT f6 FROM TRANSFER({A}, images => 'two', structured => 'foods')").fetchall()


def test_paths_are_told_from_the_key(con, tmp_path):
    (tmp_path / "a.png").write_bytes(foods.picture(1))
    con.execute(f"CREATE TEMP TABLE p AS SELECT 'k' AS id, '{tmp_path / 'a.png'}' AS image")
    assert con.sql(f"SELECT id, error FROM TRANSFER({A}, images => 'p')").fetchall() == [
        ("k", None)
    ]


def test_a_missing_image_of_a_left_join_is_no_error(con):
    text = f"SELECT name, f6 IS NULL, error FROM TRANSFER({A}, structured => 'foods', join_type => 'left') WHERE price > 9"
    assert rows(con, text) == ["['kiwi', True, None]", "['leek', True, None]"]


def test_each_cursor_needs_attach(con):
    with con.cursor() as cursor:
        with pytest.raises(duckdb.CatalogException):
            cursor.sql(f"SELECT id FROM TRANSFER({A})")
        vista_sql.attach(cursor)
        assert len(cursor.sql(f"SELECT id, f6 FROM TRANSFER({A})").fetchall()) == 12
    assert len(con.sql(f"SELECT id, f6 FROM TRANSFER({A})").fetchall()) == 12


def test_attach_twice_is_the_same(con):
    vista_sql.attach(con)
    assert len(con.sql(f"SELECT f6 FROM TRANSFER({A})").fetchall()) == 12


def test_attach_within_a_transaction_leaves_it_open(con):
    con.execute("BEGIN")
    con.execute("CREATE TABLE kept AS SELECT 1 AS one")
    vista_sql.attach(con)
    assert len(rows(con, f"SELECT id, f6 FROM TRANSFER({A}) WHERE id < 3")) == 3
    con.execute("COMMIT")
    with duckdb.connect() as other:
        other.execute("BEGIN")
        other.execute("CREATE TABLE kept AS SELECT 1 AS one")
        vista_sql.attach(other)
        assert other.sql("SELECT cnn FROM VISTA_CNNS() WHERE cnn = 'lenet5'").fetchall()
        other.execute("COMMIT")
        kept = [db.sql("FROM kept").fetchall() for db in (con, other)]
    assert kept == [[(1,)], [(1,)]]


def test_prepared_statements(con):
    con.execute(
        f"PREPARE p AS SELECT id, f6 FROM TRANSFER({A}, structured => 'foods') WHERE price < $1"
    )
    want = rows(con, f"SELECT id, f6 FROM TRANSFER({A}, structured => 'foods') WHERE price < 3")
    for _ in range(2):
        assert foods.sorted_rows(con.execute("EXECUTE p(3)").fetchall()) == want
    assert len(con.execute("EXECUTE p(-100)").fetchall()) == 0
    by_value = f"SELECT id, f6 FROM TRANSFER({A}, structured => $1) WHERE price < 3"
    assert foods.sorted_rows(con.execute(by_value, ["foods"]).fetchall()) == want
    con.execute("SET VARIABLE t = 'foods'")
    by_variable = (
        f"SELECT id, f6 FROM TRANSFER({A}, structured => getvariable('t')) WHERE price < 3"
    )
    assert rows(con, by_variable) == want


def test_views_over_transfer(fresh_db):
    text = f"SELECT id, price, f6 FROM TRANSFER({A}, structured => 'foods')"
    fresh_db.query(f"CREATE VIEW v AS {text}")
    want = foods.sorted_rows(fresh_db.query(f"{text} WHERE price < 3").fetchall())
    assert foods.sorted_rows(fresh_db.query("SELECT * FROM v WHERE price < 3").fetchall()) == want
    assert rows(fresh_db.con, "SELECT * FROM v WHERE price < 3") == want
    fresh_db.con.execute("UPDATE foods SET price = 1 WHERE id = 9")
    assert len(fresh_db.query("SELECT * FROM v WHERE price < 3")) == len(want) + 1


def test_describe_explain_and_summarize_infer_nothing(con):
    from vista_sql.hosts.duckdb.process import process

    runtime = process().runtime
    before = {run: c.images_inferred for run, c in runtime._counters.items()}
    text = f"SELECT * FROM TRANSFER({A}, structured => 'foods')"
    assert con.sql(f"DESCRIBE {text}").fetchall()[-2][:2] == ("f6", "FLOAT[84]")
    con.sql(f"EXPLAIN {text}").fetchall()
    after = {run: c.images_inferred for run, c in runtime._counters.items()}
    assert sum(after.values()) == sum(before.values())


def test_settings_of_the_connection_count(con):
    con.execute("SET VARIABLE vista_memory_limit = '1MB'")
    with pytest.raises(duckdb.Error, match="SET VARIABLE vista_memory_limit"):
        con.sql(f"SELECT f6 FROM TRANSFER({A})")
    con.execute("SET VARIABLE vista_memory_limit = NULL")
    con.sql(f"SELECT f6 FROM TRANSFER({A})").fetchall()


def test_connections_in_threads(con):
    text = f"SELECT id, f6 FROM TRANSFER({A}, structured => 'foods') WHERE price > 2"
    want = rows(con, text)
    found = []

    def work():
        with con.cursor() as cursor:
            vista_sql.attach(cursor)
            found.append(rows(cursor, text))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [want] * 4


def test_runs_tell_the_plan_on_a_bare_connection_too(con):
    con.sql("SELECT id, f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6'])").fetchall()
    ((plan,),) = con.sql("SELECT plan FROM VISTA_RUNS() LIMIT 1").fetchall()
    assert plan == "fused/after"


def test_attaching_survives_a_transaction_that_is_rolled_back():
    with duckdb.connect() as con:
        con.execute("BEGIN")
        vista_sql.attach(con)
        con.execute("ROLLBACK; BEGIN")
        with pytest.raises(vista_sql.errors.QueryError, match="end the transaction"):
            vista_sql.attach(con)
        con.execute("ROLLBACK")
        for _ in range(2):
            vista_sql.attach(con)
            assert con.sql("SELECT cnn FROM VISTA_CNNS() WHERE cnn = 'lenet5'").fetchall()
        foods.fill(con)
        assert len(rows(con, f"SELECT id, f6 FROM TRANSFER({A}) WHERE id < 3")) == 3
