"""Functions live as long as their database: whichever connection registered them may close."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

HEAD = """
import gc, itertools, sys
import duckdb, vista_sql
QUERY = "SELECT count(*) FROM VISTA_CNNS()"

def asks(con):
    assert con.execute(QUERY).fetchall()[0][0] > 10
    assert con.execute("SELECT vista_home()").fetchall()[0][0]
"""


def run(body, folder):
    text = HEAD + textwrap.dedent(body) + "\nprint('right')\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        capture_output=True, text=True, cwd=folder, timeout=100, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "right\n", "")


SESSIONS = """
    for order in itertools.permutations(range(3)):
        for how in ("close", "drop"):
            sessions = [vista_sql.connect("a.duckdb") for _ in range(3)]
            for last, place in enumerate(order):
                if how == "close":
                    sessions[place].close()
                sessions[place] = None
                gc.collect()
                junk = [lambda: n for n in range(1000)]
                for session in filter(None, sessions):
                    assert session.query(QUERY).fetchone()[0] > 10
                    asks(session.con)
"""

CURSORS = """
    for round in range(2):
        con = duckdb.connect()
        vista_sql.attach(con.cursor())
        gc.collect()
        asks_first = con.cursor()
        vista_sql.attach(asks_first)
        asks(asks_first)
        with con.cursor() as cursor:
            vista_sql.attach(cursor)
            asks(cursor)
        vista_sql.attach(con)
        junk = [lambda: n for n in range(1000)]
        asks(con)
        asks_first.close()
        con.execute("CREATE TABLE t AS SELECT 1 AS id, ''::BLOB AS image")
        assert con.sql("SELECT id FROM TRANSFER('hog', images => 't')").fetchall() == [(1,)]
"""

LEFT_OPEN = """
    con = duckdb.connect("b.duckdb")
    vista_sql.attach(con)
    other = con.cursor()
    vista_sql.attach(other)
    asks(con), asks(other)
    kept = vista_sql.connect()
    kept.query(QUERY)
    unread = kept.query(QUERY)
"""

REOPENED = """
    for round in range(2):
        con = duckdb.connect("c.duckdb")
        vista_sql.attach(con)
        asks(con)
        del con  # and so the file is free: another configuration may open it
        gc.collect()
        other = duckdb.connect("c.duckdb", read_only=True)
        vista_sql.attach(other)
        asks(other)
        other.close()
"""


@pytest.mark.parametrize(
    "body", [SESSIONS, CURSORS, LEFT_OPEN, REOPENED], ids=["sessions", "cursors", "open", "again"]
)
def test_connections_may_close_in_any_order(body, tmp_path):
    run(body, tmp_path)
