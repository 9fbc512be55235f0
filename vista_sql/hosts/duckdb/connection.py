"""A bare DuckDB connection: TRANSFER and VISTA_* are macros, planned while DuckDB binds them."""

from __future__ import annotations

import secrets
import tempfile
from functools import partial
from pathlib import Path

import duckdb

from vista_sql.hosts import HostKind
from vista_sql.hosts.duckdb import database, functions
from vista_sql.hosts.duckdb.attached import Attached
from vista_sql.hosts.duckdb.process import process
from vista_sql.planning.capabilities import Capabilities
from vista_sql.settings import Settings

HOST = HostKind(
    "connection",
    "a DuckDB connection of the user's, where each call is planned by itself",
    Capabilities(),
)


class Connection:
    """A connection on which the kernels and macros are known.

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
        attached = _attached(con, self.salt)
        functions.create_macros(con)
        self.folder, self.binder = attached.home, attached.binder

    def settings(self) -> Settings:
        """Return the settings: the connection's variables over the environment."""
        return Settings(functions.variables(self.con))


def _attached(con: duckdb.DuckDBPyConnection, salt: str) -> Attached:
    """Return what a connection's database is attached as; registers the kernels where it is not."""
    shared = process()
    made = partial(Attached, salt=salt, can=HOST.capabilities, counters=shared.runtime)
    known = shared.attached
    with shared.registering:  # connections of several threads may be first at once
        file = database.database_file(con)
        home = f"{file}.vista" if file else _scratch()
        attached = made(home, is_scratch=file is None)
        is_known = database.in_transaction(con) and functions.are_registered(con)
        if is_known or not functions.register(con, attached.expand, home):
            home = functions.home(con)
            attached = known.get(home) or made(home)
        elif home in known:  # the file was open before
            known[home].binder.flush()
        known[home] = attached
        attached.add(con)
    return attached


def _scratch() -> str:
    """Return the name of a folder; it is created when it is needed."""
    return str(Path(tempfile.gettempdir()) / f"vista_sql_{secrets.token_hex(8)}")
