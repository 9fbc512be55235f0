"""What statements lend to their connection while they run: narrow rows, the caller's own tables."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import duckdb

from vista_sql.hosts.duckdb import database
from vista_sql.hosts.duckdb.turns import Turns
from vista_sql.once import once
from vista_sql.result import Result
from vista_sql.sql import parse
from vista_sql.sql.parse import Statement
from vista_sql.sql.quoting import identifier

Scope = Callable[[str], Any]
"""Finds a variable of the caller's by name; None where there is none."""

_FRAMES = ("duckdb", "_duckdb", "numpy", "pandas", "polars", "pyarrow")


class Lent:
    """Relations that a connection knows by name until the last statement that needs them ends.

    One for all sessions on a connection, whose turns it has.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.turns = Turns()
        self._con = weakref.ref(con)
        self._uses: dict[str, int] = {}
        self._relations: dict[str, Any] = {}
        self._unread: weakref.WeakSet[Result] = weakref.WeakSet()
        self._left: list[str] = []  # let go of while the connection was busy
        self._lock = threading.RLock()  # a Result is dropped when Python likes, in any thread

    def lend(self, name: str, relation: Any, undo: contextlib.ExitStack) -> None:
        """Make a relation readable under `name` until `undo` is called.

        DuckDB looks names up when rows are read: where the name is another relation's so far, the
        results that wait for it are read first.
        """
        if self._relations.get(name, relation) is not relation:
            for result in list(self._unread):
                result.keep_unread()
        with self._lock:
            self._register(name, relation)
            self._uses[name] = self._uses.get(name, 0) + 1
        undo.callback(self._let_go, name)

    def waits(self, result: Result) -> None:
        """Note a result that has not been read and may need what is lent."""
        if self._relations:
            self._unread.add(result)

    def tidy(self) -> None:
        """Drop what was let go of while the connection was busy; in a turn."""
        with self._lock:
            left, self._left = self._left, []
            for name in left:
                if name not in self._uses:
                    self._drop(name)

    def has(self, name: str) -> bool:
        """Return whether a name, any case, is of something lent."""
        return name.lower() in (lent.lower() for lent in [*self._uses, *self._left])

    def _register(self, name: str, relation: Any) -> None:
        if (con := self._con()) is not None:
            con.register(name, relation)
            self._relations[name] = relation

    def _let_go(self, name: str) -> None:
        with self.turns.turn_if_free() as is_free, self._lock:
            self._uses[name] -= 1
            if self._uses[name]:
                return
            del self._uses[name]
            del self._relations[name]
            if is_free:
                self._drop(name)
            else:
                self._left.append(name)

    def _drop(self, name: str) -> None:
        if (con := self._con()) is None:
            return
        try:
            con.execute(f"DROP VIEW IF EXISTS {identifier(name)}")
            con.unregister(name)
        except duckdb.ConnectionException:
            pass  # closed: everything is gone
        except duckdb.Error:
            self._left.append(name)  # busy with a query, or in a transaction that failed


class Lents:
    """What is lent to each connection; those that were there before a fork are remembered so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_connection: weakref.WeakKeyDictionary[duckdb.DuckDBPyConnection, Lent]
        self._by_connection = weakref.WeakKeyDictionary()

    def to(self, con: duckdb.DuckDBPyConnection) -> Lent:
        """Return what is lent to a connection."""
        with self._lock:
            if con not in self._by_connection:
                self._by_connection[con] = Lent(con)
            return self._by_connection[con]


@once
def lents() -> Lents:
    """Return what is lent to connections, also to those that this process inherited."""
    return Lents()


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
