"""A bare DuckDB connection: TRANSFER and VISTA_* are macros, planned while DuckDB binds them."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from vista_sql.hosts import HostKind
from vista_sql.hosts.binding import Binder
from vista_sql.hosts.duckdb import database, functions
from vista_sql.hosts.duckdb.process import process
from vista_sql.planning.capabilities import Capabilities
from vista_sql.settings import Settings
from vista_sql.sql.calls import Call

HOST = HostKind(
    "connection",
    "a DuckDB connection of the user's, where each call is planned by itself",
    Capabilities(),
)


class Connection:
    """A connection on which the kernels and macros are known; the database's functions keep it.

    The kernels are registered once a database, the TEMP macros on each connection: a cursor needs
    `functions.create_macros` of its own.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, *, salt: str | None = None) -> None:
        """Register what the database lacks.

        Args:
            con: any DuckDB connection.
            salt: makes generated names unguessable; given only where they must be predictable.
        """
        self.con, self.salt = con, salt or secrets.token_hex(8)
        file = database.database_file(con)
        functions.register(con, self._expand, f"{file}.vista" if file else _scratch(self))
        functions.create_macros(con)
        self.folder = functions.home(con)  # that of the database's first connection
        self.binder = Binder(
            self.folder, self.salt, HOST.capabilities, process().runtime, self._glimpse
        )

    def settings(self, variables: Mapping[str, Any] | None = None) -> Settings:
        """Return the settings: the connection's variables over the environment."""
        return Settings(functions.variables(self.con) if variables is None else variables)

    def _expand(self, call: Call, variables: Mapping[str, Any]) -> str:
        return self.binder.expand(call, self.settings(variables))

    def _glimpse(self, relation: str) -> Mapping[str, str] | None:
        try:
            with self.con.cursor() as cursor:
                return database.describe(cursor, f"SELECT * FROM {relation}")
        except duckdb.Error:
            return None


def _scratch(owner: object) -> str:
    """Return the name of a folder that goes with its owner; it is created when it is needed."""
    folder = Path(tempfile.gettempdir()) / f"vista_sql_{secrets.token_hex(8)}"
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return str(folder)
