"""What statements lend to their connection while they run: narrow rows, the caller's own tables."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import duckdb

from vista_sql.hosts.duckdb import database
from vista_sql.sql import parse
from vista_sql.sql.parse import Statement
from vista_sql.sql.quoting import identifier

Scope = Callable[[str], Any]
"""Finds a variable of the caller's by name; None where there is none."""

_FRAMES = ("duckdb", "_duckdb", "numpy", "pandas", "polars", "pyarrow")


class Lent:
    """Relations that a connection knows by name until the last statement that needs them ends."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._uses: dict[str, int] = {}
        self._left: list[str] = []  # let go of while the connection was busy
        self._lock = threading.RLock()  # a Result is dropped when Python likes, in any thread

    def lend(self, name: str, relation: Any, undo: contextlib.ExitStack) -> None:
        """Make a relation readable under `name` until `undo` is called."""
        with self._lock:
            self._con.register(name, relation)
            self._uses[name] = self._uses.get(name, 0) + 1
        undo.callback(self._let_go, name)

    def tidy(self) -> None:
        """Drop what was let go of while the connection was busy."""
        with self._lock:
            left, self._left = self._left, []
            for name in left:
                if name not in self._uses:
                    self._drop(name)

    def has(self, name: str) -> bool:
        """Return whether a name, any case, is of something lent."""
        return name.lower() in (lent.lower() for lent in [*self._uses, *self._left])

    def _let_go(self, name: str) -> None:
        with self._lock:
            self._uses[name] -= 1
            if not self._uses[name]:
                del self._uses[name]
                self._drop(name)

    def _drop(self, name: str) -> None:
        try:
            self._con.execute(f"DROP VIEW IF EXISTS {identifier(name)}")
            self._con.unregister(name)
        except duckdb.ConnectionException:
            pass  # closed: everything is gone
        except duckdb.Error:
            self._left.append(name)  # busy with a query, or in a transaction that failed


def caller_scope(frame: FrameType) -> Scope:
    """Return a function that finds a variable of a frame by its name."""
    names = {**frame.f_globals, **frame.f_locals}
    return names.get


def variables(
    con: duckdb.DuckDBPyConnection, statement: Statement, scope: Scope, lent: Lent
) -> list[str]:
    """Return the names in a statement that only the caller's variables explain."""
    found = [
        name
        for name in parse.table_names(statement)
        if type(scope(name)).__module__.partition(".")[0] in _FRAMES
    ]
    there = {name.lower() for name in database.tables(con)} if found else set()
    return [name for name in found if name.lower() not in there or lent.has(name)]
