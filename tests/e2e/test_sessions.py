"""Opening a session, and what may be given to it."""

from __future__ import annotations

import duckdb
import pytest

import vista_sql
from vista_sql.errors import QueryError


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
