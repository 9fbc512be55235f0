"""DuckDB's part of a memory limit: set while a statement of ours runs, restored after it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import duckdb

from vista_sql.errors import PlanError
from vista_sql.planning.memory import Allowance
from vista_sql.units import format_bytes, parse_bytes

VECTORS_EACH, VECTORS = 2, 4
"""Vectors of an ARRAY column that DuckDB has at once, for each thread and beside: measured with 2
and 8 threads, streaming rows and writing Parquet."""


class _Share(NamedTuple):
    """What DuckDB may take for one statement."""

    n_bytes: int
    untouched_bytes: int  # of these, counted by DuckDB and never there


class Shares:
    """The databases of this process whose `memory_limit` is another one now; safe in any thread.

    The setting is the database's, not the connection's: where several statements run at once the
    smallest of their shares holds, and the user's own value comes back after the last of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, list[_Share]] = {}
        self._before: dict[str, tuple[str, str]] = {}  # database → its limit before, and as set

    @contextlib.contextmanager
    def held(
        self, con: duckdb.DuckDBPyConnection, database: str, allowed: Allowance
    ) -> Iterator[None]:
        """Keep DuckDB's `memory_limit` at a statement's share; never above what the user had set.

        Where nobody has set it, it may rise by what DuckDB counts and does not touch.

        Args:
            con: any connection to the database.
            database: what tells it from others in this process.
            allowed: what the statement leaves to DuckDB.

        Raises:
            PlanError: the database holds more than that in tables, and cannot let go of it.
        """
        with con.cursor() as cursor:
            threads = int(cursor.execute("SELECT current_setting('threads')").fetchall()[0][0])
        vectors = VECTORS_EACH * threads + VECTORS
        untouched = vectors * allowed.vector_bytes
        share = _Share((allowed.engine_bytes or 0) + untouched, untouched)
        with self._lock:
            held = self._held.setdefault(database, [])
            held.append(share)
            try:
                self._set(con, database)
            except BaseException:
                self._let_go(con, database, share)
                raise
        try:
            yield
        finally:
            with self._lock:
                self._let_go(con, database, share)

    def _set(self, con: duckdb.DuckDBPyConnection, database: str) -> None:
        share = min(held.n_bytes for held in self._held[database])
        before, as_set = self._before.get(database, ("", ""))
        with con.cursor() as cursor:
            shown = _limit(cursor)
            if not before or shown != as_set:  # the first, or the user changed it meanwhile
                before = shown
            most = _floor(before)
            if before == _default():
                most += max(held.untouched_bytes for held in self._held[database])
            if share >= most:
                share = most
                if shown == before and most == _floor(before):
                    self._before[database] = (before, shown)
                    return
            try:
                cursor.execute(f"SET memory_limit = '{share}B'")
            except duckdb.OutOfMemoryException as error:
                raise PlanError(
                    f"DuckDB may hold {format_bytes(share)} beside the inference of this statement "
                    "and holds more, in tables: raise memory_limit, or keep the tables in a "
                    "database file"
                ) from error
            self._before[database] = (before, _limit(cursor))

    def _let_go(self, con: duckdb.DuckDBPyConnection, database: str, share: _Share) -> None:
        held = self._held[database]
        held.remove(share)
        before, as_set = self._before.get(database, ("", ""))
        with contextlib.suppress(duckdb.Error):  # closed: nothing to restore
            if held:
                self._set(con, database)
                return
            with con.cursor() as cursor:
                if before and before != as_set and _limit(cursor) == as_set:
                    if before == _default():
                        cursor.execute("RESET memory_limit")
                    else:
                        cursor.execute(f"SET memory_limit = '{_floor(before)}B'")
        if not held:
            del self._held[database]
            self._before.pop(database, None)


def _limit(con: duckdb.DuckDBPyConnection) -> str:
    return str(con.execute("SELECT current_setting('memory_limit')").fetchall()[0][0])


def _floor(shown: str) -> int:
    """Return the least bytes that DuckDB shows so: one digit, of whole smaller units, rounded down.

    What it does not show is lost: a limit of 2 GB comes back as '1.8 GiB'.
    """
    number, unit = shown.split()
    whole, _, digit = number.partition(".")
    size = parse_bytes(f"1 {unit}") if unit != "bytes" else 1
    return int(whole) * size + -(-int(digit or 0) * 1024 // 10) * (size // 1024)


@cache
def _default() -> str:
    """Return what DuckDB shows where nobody has set a limit."""
    with duckdb.connect() as con:
        return _limit(con)
