"""Statements that nobody would write: what is raised is ours or DuckDB's, whatever they are."""

from __future__ import annotations

import random

import duckdb
import foods
import hostile
import pytest

import vista_sql

SURFACES = ("query", "bare", "rewrite", "explain")


@pytest.fixture
def surfaces(fresh_db, tmp_path, monkeypatch):
    """What a statement can be given to, each on the same tables; files land in a folder apart."""
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as con:
        foods.fill(con)
        vista_sql.attach(con)
        con.execute("SET python_enable_replacements = false")
        for each in (fresh_db.con, con):
            each.execute(f"{hostile.KNOWN}; SET VARIABLE vista_home = '{tmp_path}/home'")
        call = hostile.CALLS["vista_train"] | {"model": "'m'"}
        arguments = ", ".join(f"{name} => {value}" for name, value in call.items())
        fresh_db.query(f"FROM VISTA_TRAIN({arguments})").arrow()
        fresh_db.query("FROM VISTA_WRITE_TFRECORD(data => 'known', file => 'known.tfrecord')")
        yield {
            "query": lambda text: fresh_db.query(text).arrow(),
            "bare": lambda text: read(con.execute(text.replace("\ud800", ""))),
            "rewrite": fresh_db.rewrite,
            "explain": fresh_db.explain,
        }
        for each in (fresh_db.con, con):
            assert each.execute("SELECT count(*) FROM foods").fetchone() == (12,)
            assert foods.leftovers(each) == []
        assert fresh_db.query(f"SELECT count(*) FROM {hostile.T}").fetchone() == (12,)


def read(executed):
    """Read what DuckDB returns: nothing at all where a text was only comments."""
    return executed and executed.fetchmany(1000)


def foreign(surfaces, seed, n):
    """Return the statements, of `n` by a seed, at which something foreign was raised."""
    chance, found = random.Random(seed), []
    for i in range(n):
        text, surface = hostile.statement(chance), SURFACES[i % 4]
        try:
            surfaces[surface](text)
        except BaseException as error:
            if (said := hostile.foreign(error, text, surface)) is not None:
                found.append((surface, text, said))
    return found


def quiet(surfaces, capfd, caplog, seed, n):
    assert foreign(surfaces, seed, n) == []
    assert [r for r in caplog.records if r.name.startswith("sqlglot")] == []
    assert capfd.readouterr().err == ""


def test_what_is_raised_is_ours_or_duckdbs(surfaces, capfd, caplog):
    quiet(surfaces, capfd, caplog, 1, 2000)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 12))
def test_what_is_raised_is_ours_or_duckdbs_in_many(surfaces, capfd, caplog, seed):
    quiet(surfaces, capfd, caplog, seed, 2000)


SURE = {
    f"SELECT {hostile.DEEP}": [(1,)],
    f"SELECT {hostile.DEEP} AS one, id FROM {hostile.T} WHERE id = 3": [(1, 3)],
    f"SELECT (SELECT 1) AS one, id FROM {hostile.T} ORDER BY 1, 2 LIMIT 1": [(1, 0)],
}


@pytest.mark.parametrize("text", SURE)
def test_what_sqlglot_cannot_read_duckdb_can(foods_db, text):
    assert foods_db.query(text).fetchall() == SURE[text]


def test_statements_of_duckdbs_own_reach_it(foods_db):
    assert "images" in foods_db.query("SHOW ALL").arrow()["name"].to_pylist()
    with pytest.raises(duckdb.ParserException, match="unterminated"):
        foods_db.query("SELECT 'a")
    assert "SELECT 'a" in foods_db.explain("SELECT 'a")
