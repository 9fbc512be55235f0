"""dbt: vista_sql on every connection that dbt-duckdb opens, by one line in its `profiles.yml`.

    plugins: [{module: vista_sql.hosts.dbt}]

One session lives as long as dbt's connection to the database: its kernels are the database's, and
each of dbt's cursors (one a thread) gets the macros. What a model's statement asks is planned while
DuckDB binds it, as on any bare connection; models, runs and errors lie in `<database>.vista/`.
"""

from __future__ import annotations

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from vista_sql.hosts.duckdb.functions import create_macros
from vista_sql.session import Session


class Plugin(BasePlugin):  # type: ignore[misc]
    """What dbt-duckdb calls; it finds the class by this name."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Register the kernels and the planner on a connection that dbt opened."""
        # The functions that it registers keep it. Owned: dbt that failed leaves connections open,
        # which must not outlive what Python frees first when it ends.
        Session(conn, own=True)

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Create the macros on one of the connection's cursors."""
        create_macros(cursor)
