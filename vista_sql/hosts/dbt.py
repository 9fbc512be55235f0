"""dbt: vista_sql on every connection that dbt-duckdb opens, by one line in its `profiles.yml`.

    plugins: [{module: vista_sql.hosts.dbt}]

The kernels are registered on dbt's connection to the database, and
each of dbt's cursors (one a thread) gets the macros. What a model's statement asks is planned while
DuckDB binds it, as on any bare connection; models, runs and errors lie in `<database>.vista/`.
"""

from __future__ import annotations

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from vista_sql.hosts import HostKind
from vista_sql.hosts.duckdb import connection
from vista_sql.hosts.duckdb.connection import Connection
from vista_sql.hosts.duckdb.functions import create_macros

HOST = HostKind(
    "dbt", "a connection that dbt-duckdb opens, and its cursors", connection.HOST.capabilities
)


class Plugin(BasePlugin):  # type: ignore[misc]
    """What dbt-duckdb calls; it finds the class by this name."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Register the kernels and the planner on a connection that dbt opened."""
        Connection(conn)

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Create the macros on one of the connection's cursors."""
        create_macros(cursor)
