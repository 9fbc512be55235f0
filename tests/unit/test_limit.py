"""DuckDB's own memory limit while a statement of ours runs, and after."""

from __future__ import annotations

import threading

import duckdb
import pytest

from vista_sql.errors import PlanError
from vista_sql.hosts.duckdb.limit import VECTORS, VECTORS_EACH, Shares
from vista_sql.planning.memory import MIB, Allowance


def limit_of(con):
    return con.execute("SELECT current_setting('memory_limit')").fetchone()[0]


@pytest.mark.parametrize("before", [None, "2GB", "777MiB", "1.9GiB"])
def test_the_users_limit_comes_back_after_each_of_many_statements(before):
    con = duckdb.connect()
    if before:
        con.execute(f"SET memory_limit = '{before}'")
    shown, shares = limit_of(con), Shares()
    for _ in range(3):
        with shares.held(con, "a", Allowance(300 * MIB)):
            assert limit_of(con) == "300.0 MiB"
        assert limit_of(con) == shown
    with pytest.raises(ZeroDivisionError), shares.held(con, "a", Allowance(300 * MIB)):
        raise ZeroDivisionError
    assert limit_of(con) == shown


def test_a_share_is_never_more_than_the_user_allowed():
    con, shares = duckdb.connect(), Shares()
    con.execute("SET memory_limit = '200MiB'")
    with shares.held(con, "a", Allowance(300 * MIB)):
        assert limit_of(con) == "200.0 MiB"
    assert limit_of(con) == "200.0 MiB"


def test_duckdbs_own_limit_rises_by_what_it_counts_and_does_not_touch():
    con, shares = duckdb.connect(), Shares()
    shown, threads = limit_of(con), con.execute("SELECT current_setting('threads')").fetchone()[0]
    allowed = Allowance(1 << 60, vector_bytes=1 << 30)
    with shares.held(con, "a", allowed):
        raised = float(limit_of(con).split()[0]) - float(shown.split()[0])
    assert limit_of(con) == shown
    assert raised == pytest.approx(VECTORS_EACH * threads + VECTORS, abs=0.2)  # GiB
    con.execute("SET memory_limit = '3GiB'")
    with shares.held(con, "a", allowed):
        assert limit_of(con) == "3.0 GiB"


def test_the_smallest_share_of_statements_at_once_holds():
    con, shares = duckdb.connect(), Shares()
    shown = limit_of(con)
    outer = shares.held(con, "a", Allowance(300 * MIB))
    inner = shares.held(con.cursor(), "a", Allowance(100 * MIB))
    with outer:
        with inner:
            assert limit_of(con) == "100.0 MiB"
        assert limit_of(con) == "300.0 MiB"
    assert limit_of(con) == shown


def test_what_ends_first_need_not_have_begun_last():
    con, shares = duckdb.connect(), Shares()
    shown, begun, end = limit_of(con), threading.Event(), threading.Event()

    def other():
        with con.cursor() as cursor, shares.held(cursor, "a", Allowance(100 * MIB)):
            begun.set()
            end.wait(30)

    thread = threading.Thread(target=other)
    with shares.held(con, "a", Allowance(300 * MIB)):
        thread.start()
        begun.wait(30)
    assert limit_of(con) == "100.0 MiB"
    end.set()
    thread.join()
    assert limit_of(con) == shown


def test_a_limit_that_the_user_sets_meanwhile_stays():
    con, shares = duckdb.connect(), Shares()
    with shares.held(con, "a", Allowance(300 * MIB)):
        con.execute("SET memory_limit = '150MiB'")
    assert limit_of(con) == "150.0 MiB"


def test_tables_that_leave_no_room_are_told():
    con, shares = duckdb.connect(config={"temp_directory": ""}), Shares()
    con.execute("CREATE TABLE t AS SELECT random() AS x FROM range(4000000)")
    shown = limit_of(con)
    refused = pytest.raises(PlanError, match="raise memory_limit, or keep the tables")
    with refused, shares.held(con, "a", Allowance(8 * MIB)):
        pytest.fail("it ran")
    assert limit_of(con) == shown


def test_a_connection_that_is_closed_meanwhile_ends_quietly():
    con, shares = duckdb.connect(), Shares()
    with shares.held(con, "a", Allowance(300 * MIB)):
        con.close()
