"""A database that has the kernels: calls are planned, relations seen by any open connection."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Mapping
from typing import Any

import duckdb

from vista_sql.hosts.binding import Binder
from vista_sql.hosts.duckdb import database
from vista_sql.planning.capabilities import Capabilities
from vista_sql.runs import CountsByRun
from vista_sql.settings import Settings
from vista_sql.sql.calls import Call


class Attached:
    """A database that has the kernels; it holds none of its connections, which close as they like.

    DuckDB keeps the functions of a database for as long as any of its connections is open, and so
    what they need is kept for the life of the process.
    """

    def __init__(
        self,
        home: str,
        *,
        salt: str,
        can: Capabilities,
        counters: CountsByRun,
        is_scratch: bool = False,
    ) -> None:
        """Know of no connection yet.

        Args:
            home: the database's folder of models, runs and errors.
            salt: makes generated names unguessable.
            can: what a connection of it can do.
            counters: where the kernels count.
            is_scratch: whether the folder goes with the last connection.
        """
        self.home, self._is_scratch = home, is_scratch
        self._connections: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()
        self.binder = Binder(home, salt, can, counters, self._glimpse)
        if is_scratch:
            weakref.finalize(self, shutil.rmtree, home, ignore_errors=True)
        weakref.finalize(self, _close, self._connections)

    def add(self, con: duckdb.DuckDBPyConnection) -> None:
        """Note one more connection; it is closed before Python frees what its functions need."""
        if con not in self._connections:
            self._connections.add(con)
            weakref.finalize(con, self._without_one)

    def expand(self, call: Call, variables: Mapping[str, Any]) -> str:
        """Return the SELECT that a call of a macro stands for."""
        return self.binder.expand(call, Settings(variables))

    def _glimpse(self, relation: str) -> Mapping[str, str] | None:
        for con in list(self._connections):
            try:
                with con.cursor() as cursor:
                    return database.describe(cursor, f"SELECT * FROM {relation}")
            except duckdb.ConnectionException:
                continue  # it is closed
            except duckdb.Error:
                return None
        return None

    def _without_one(self) -> None:
        if not list(self._connections):
            self.binder.flush()
            if self._is_scratch:
                shutil.rmtree(self.home, ignore_errors=True)


def _close(connections: weakref.WeakSet[duckdb.DuckDBPyConnection]) -> None:
    for con in list(connections):
        con.close()
