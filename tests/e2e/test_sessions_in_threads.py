"""Threads: one session, one connection, the default session, cursors: every answer is right."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import duckdb
import foods
import pandas as pd
import pytest

import vista_sql
from vista_sql.errors import HostError
from vista_sql.hosts.duckdb import turns

HOG = "SELECT id, hog FROM TRANSFER(cnn => 'hog') WHERE id < {} ORDER BY id"


def at_once(work, n=16):
    """Run `work(i)` in n threads that begin together; return what each returns."""
    together = threading.Barrier(n)

    def begin(i):
        together.wait()
        return work(i)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(begin, range(n)))


@pytest.fixture
def con():
    with duckdb.connect() as con:
        foods.fill(con)
        yield con


@pytest.fixture
def want(con):
    with con.cursor() as cursor:
        return {n: vista_sql.query(HOG.format(n), cursor).fetchall() for n in range(2, 6)}


def asked(query, i, want):
    """Ask a session for several things, kept and streamed; return whether all is right."""
    few = i % 4 + 2
    df = pd.DataFrame({"x": range(i)})  # read by name: each thread has its own
    own = f"CREATE OR REPLACE TEMP TABLE own{i} AS SELECT {i} AS i"
    found = [
        query(HOG.format(few)).fetchall() == want[few],
        [row for batch in query(HOG.format(few)) for row in batch.column(0).to_pylist()]
        == [key for key, _ in want[few]],
        len(query("SELECT * FROM df")) == len(df),
        query("SELECT count(*) + $n FROM range(1000)", params={"n": i}).fetchone() == (1000 + i,),
        query(f"{own}; SELECT i FROM own{i}").fetchone() == (i,),
    ]
    return all(found)


def test_one_session_in_many_threads(fresh_db, want):
    assert all(at_once(lambda i: asked(fresh_db.query, i, want)))
    assert all("vista_infer" in text for text in at_once(lambda i: fresh_db.rewrite(HOG.format(2))))
    views = "SELECT view_name FROM duckdb_views() WHERE NOT internal"
    assert fresh_db.query(views).fetchall() == []


def test_one_connection_given_to_query_in_many_threads(con, want):
    def ask(i):
        few = i % 4 + 2
        numbers = pd.DataFrame({"x": range(i)})
        return (
            vista_sql.query(HOG.format(few), con).fetchall() == want[few]
            and vista_sql.query("SELECT count(*) FROM numbers", con).fetchone() == (len(numbers),)
            and vista_sql.query("SELECT $1 + 1", con, [i]).fetchone() == (i + 1,)
        )

    assert all(at_once(ask))


def test_the_default_session_in_many_threads():
    vista_sql.query("CREATE OR REPLACE TABLE counted (i INTEGER)")

    def ask(i):
        vista_sql.query("INSERT INTO counted VALUES ($1)", params=[i])
        return vista_sql.query("SELECT count(*) FROM VISTA_CNNS()").fetchone()[0] > 10

    assert all(at_once(ask))
    assert vista_sql.query("SELECT count(*), sum(i) FROM counted").fetchone() == (16, 120)


def test_a_cursor_is_a_session_of_its_own(fresh_db, want):
    def ask(i):
        with fresh_db.cursor() as db:
            return asked(db.query, i, want)

    assert all(at_once(ask, 8))
    with fresh_db.cursor() as cursor:
        reader = fresh_db.query("SELECT * FROM range(10_000)").reader()
        assert cursor.query("SELECT 1").fetchone() == (1,)
        assert sum(batch.num_rows for batch in reader) == 10_000
        fresh_db.query("CREATE TEMP TABLE mine AS SELECT 1")
        with pytest.raises(duckdb.CatalogException):
            cursor.query("FROM mine")
    assert fresh_db.query("SELECT 1").fetchone() == (1,)


def test_results_read_late_have_the_rows_that_their_names_meant(fresh_db):
    def first():
        df = pd.DataFrame({"x": [1, 2]})
        return fresh_db.query("SELECT * FROM df"), df

    def second():
        df = pd.DataFrame({"x": [3, 4, 5]})
        return fresh_db.query("SELECT * FROM df"), df

    one, two = first()[0], second()[0]
    assert one.fetchall() == [(1,), (2,)]
    assert two.fetchall() == [(3,), (4,), (5,)]


def test_a_stream_left_open_is_said_in_its_own_thread(fresh_db):
    stream = iter(fresh_db.query("SELECT * FROM range(10_000)"))
    next(stream)
    with pytest.raises(HostError, match=r"read them to the end.*\.arrow\(\).*db\.cursor\(\)"):
        fresh_db.query("SELECT 1")
    del stream
    gc.collect()
    assert fresh_db.query("SELECT 1").fetchone() == (1,)


def test_a_stream_of_which_nobody_reads_is_not_waited_for(fresh_db, monkeypatch):
    monkeypatch.setattr(turns, "IDLE_SECONDS", 0.2)
    stream = iter(fresh_db.query("SELECT * FROM range(10_000)"))
    next(stream)
    with ThreadPoolExecutor(1) as pool, pytest.raises(HostError, match="read them to the end"):
        pool.submit(fresh_db.query, "SELECT 1").result()
    assert sum(batch.num_rows for batch in stream) < 10_000


def test_threads_share_one_result(fresh_db):
    result = fresh_db.query("SELECT * FROM range(100_000)")
    assert set(at_once(lambda i: len(result))) == {100_000}


def test_a_session_lasts_until_its_result_is_read():
    assert foods.connect().query("SELECT count(*) FROM images").fetchone() == (12,)


def test_who_has_the_turn_may_read_a_result_for_which_another_thread_waits():
    with vista_sql.connect() as db:
        result = db.query("SELECT 1 AS x")
        with result._turn():
            waits = threading.Thread(target=result.arrow, daemon=True)
            waits.start()
            time.sleep(0.1)  # … for the turn
            result.keep_unread()
        waits.join(10)
        assert not waits.is_alive()
        assert result.fetchall() == [(1,)]
