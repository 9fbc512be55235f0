"""Opening a session, and what may be given to it."""

from __future__ import annotations

import duckdb
import pytest

import vista_sql
from vista_sql.errors import QueryError, VistaError


def test_read_only(tmp_path):
    file = tmp_path / "a.duckdb"
    with vista_sql.connect(file) as db:
        db.query("CREATE TABLE t AS SELECT 1 AS i")
    with vista_sql.connect(file, read_only=True) as db:
        assert db.query("SELECT i FROM t").fetchall() == [(1,)]
        assert db.query("SELECT count(*) > 10 FROM VISTA_CNNS()").fetchone() == (True,)
        with pytest.raises(duckdb.Error, match="read-only"):
            db.query("INSERT INTO t VALUES (2)")
    with pytest.raises(duckdb.Error, match="read-only"):
        vista_sql.connect(tmp_path / "none.duckdb", read_only=True)
    assert not (tmp_path / "none.duckdb").exists()


@pytest.mark.parametrize("given", [True, "bar", vista_sql.progress_bar()])
def test_progress_that_is_no_function_is_said_at_once(foods_db, given):
    with pytest.raises(QueryError, match=r"must be a function of one Progress.*progress_bar\(\)"):
        foods_db.query("SELECT id, fc6 FROM TRANSFER('lenet5')", progress=given)


T = "SELECT id, fc6 FROM TRANSFER(cnn => 'lenet5', store => {}) WHERE id < 2"
LONG = "x" * 3000
GIVEN = (  # (statement, params, what it says)
    (T.format("$s"), ["a"], r"the parameter \$s has a name, and params is a list: give a dict"),
    (T.format("$s"), {"s": ["a"]}, "store must be true, false or a folder"),
    ("SELECT $1", 3, "params is 3, and must be a list"),
    ("SELECT $1", "abc", "params is 'abc', and must be a list"),
    (T.format("'a\0b'"), None, "a path has no NUL character"),
    (T.format("$1"), ["a\0b"], "a path has no NUL character"),
    (T.format(f"'{LONG}'"), None, "a file's name has at most 255 bytes"),
    (f"FROM VISTA_STORE(store => '{LONG}')", None, "a file's name has at most 255 bytes"),
    (f"FROM TRANSFER(cnn => '{LONG}.keras')", None, r"can be called .*3.{3} characters"),
    (f"FROM TRANSFER('lenet5', weights => '{LONG}')", None, r"can be called .*3.{3} characters"),
)


@pytest.mark.parametrize(("text", "params", "says"), GIVEN)
def test_what_cannot_be_a_parameter_or_a_path(foods_db, text, params, says):
    with pytest.raises(VistaError, match=says):
        foods_db.query(text, params).arrow()


@pytest.mark.parametrize("name", ["vista_home", "vista_store", "vista_calibration"])
@pytest.mark.parametrize("value", ["a\0b", LONG])
def test_what_cannot_be_the_path_of_a_setting(fresh_db, name, value):
    fresh_db.con.execute(f"SET VARIABLE {name} = '{value}'")
    with pytest.raises(VistaError, match=rf" must be .*\(from SET VARIABLE {name}\): a "):
        fresh_db.query("SELECT id, fc6 FROM TRANSFER('lenet5')").arrow()


def test_what_cannot_be_a_database(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(duckdb.Error):
        vista_sql.connect(LONG)
    with pytest.raises(QueryError, match="a path cannot contain a NUL character"):
        vista_sql.connect("a\0b.duckdb")  # DuckDB would open 'a'
    assert list(tmp_path.iterdir()) == []
