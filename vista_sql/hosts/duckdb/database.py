"""What a DuckDB connection tells: columns, names, views, counts, its file, its transaction."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import duckdb

from vista_sql import catalog, kernels
from vista_sql.errors import QueryError
from vista_sql.kernels import AtHand
from vista_sql.sql.quoting import text_literal


class Seen:
    """What planning asks of one connection, `planning.database.Database`."""

    def __init__(self, con: duckdb.DuckDBPyConnection, params: Any) -> None:
        self._con, self._params = con, params

    def columns(self, query: str) -> Mapping[str, str]:
        """Return a query's columns; raise QueryError where it does not bind."""
        try:
            return describe(self._con, query)
        except duckdb.Error as error:
            raise QueryError(str(error).splitlines()[0]) from error

    def glimpse(self, relation: str) -> Mapping[str, str] | None:
        """Return None: `columns` tells all there is."""
        return None

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables and views there are."""
        return tables(self._con)

    def value(self, expression: str) -> Any:
        """Return the value of a constant expression, parameters included."""
        try:
            return value(self._con, expression, self._params)
        except duckdb.Error as error:
            raise QueryError(str(error).splitlines()[0]) from error

    def counts(self, query: str) -> tuple[float | None, ...]:
        """Return the one row of numbers that a query gives."""
        try:
            return cast("tuple[float | None, ...]", self._con.execute(query).fetchall()[0])
        except duckdb.Error as error:
            raise QueryError(str(error).splitlines()[0]) from error

    def views(self) -> Mapping[str, str]:
        """Return the definitions of the views there are, by name in lower case."""
        return views(self._con)

    def has_usual_order(self) -> bool:
        """Return whether ORDER BY without further words is ascending, and has NULLs last."""
        (settings,) = self._con.execute(
            "SELECT current_setting('default_order'), current_setting('default_null_order')"
        ).fetchall()
        return tuple(settings) == ("ASCENDING", "NULLS_LAST")

    def has_collations(self) -> bool:
        """Return whether text may compare otherwise than byte by byte: DuckDB's types hide it."""
        ((found,),) = self._con.execute(
            "SELECT current_setting('default_collation') <> '' "
            "OR EXISTS (SELECT 1 FROM duckdb_tables() WHERE contains(lower(sql), 'collate')) "
            "OR EXISTS (SELECT 1 FROM duckdb_views() WHERE NOT internal "
            "AND contains(lower(sql), 'collate'))"
        ).fetchall()
        return bool(found)

    def plan(self, query: str) -> str:
        """Return DuckDB's physical plan of a query as JSON."""
        try:
            return str(self._con.execute(f"EXPLAIN (FORMAT json) {query}").fetchall()[0][1])
        except duckdb.Error as error:
            raise QueryError(str(error).splitlines()[0]) from error

    def texts(self, query: str) -> list[str | None]:
        """Return the values of a query's one column."""
        return [text for (text,) in self._con.execute(query).fetchall()]

    def images_at_hand(self, query: str, schemes: str) -> AtHand:
        """Return what is known of some images."""
        try:
            rows = self._con.execute(query).fetchall()
        except duckdb.Error as error:
            raise QueryError(str(error).splitlines()[0]) from error
        found: AtHand = _at_hand().at_hand(rows, schemes)
        return found

    def image_digests(self, query: str, schemes: str) -> Sequence[bytes]:
        """Return the feature store's digests of the images at hand in a query's one column."""
        values = (row[0] for row in self._con.execute(query).fetchall())
        found: list[bytes] = _at_hand().found_digests(values, schemes)
        return found


def _at_hand() -> Any:
    """Return what looks at images beforehand, as the kernels do."""
    return catalog.module(kernels.PACKAGE, "images.at_hand")


def describe(con: duckdb.DuckDBPyConnection, query: str) -> dict[str, str]:
    """Return a query's columns (name → type).

    Raises:
        duckdb.Error: it does not bind.
    """
    rows = con.execute(f"DESCRIBE {query}").fetchall()
    return {row[0]: row[1] for row in rows}


def in_transaction(con: duckdb.DuckDBPyConnection) -> bool:
    """Return whether the user has begun a transaction."""
    first, second = (con.execute("SELECT txid_current()").fetchall() for _ in range(2))
    return first == second  # else each statement is a transaction of its own


def private_names(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names (lower case) that only this connection sees: temporary tables and views."""
    rows = con.execute(
        "SELECT lower(table_name) FROM duckdb_tables() WHERE temporary "
        "UNION ALL SELECT lower(view_name) FROM duckdb_views() WHERE temporary AND NOT internal"
    ).fetchall()
    return {row[0] for row in rows}


def database_file(con: duckdb.DuckDBPyConnection) -> str | None:
    """Return the path of the connection's database file; None for one in memory."""
    rows = con.execute(
        "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    ).fetchall()
    path = rows[0][0] if rows else None
    return str(Path(path).absolute()) if path and path != ":memory:" else None


SHELL_STORAGE = "v1.4.0"
"""The storage format of files that we create: the shells of the registries read it."""


def create_file(database: str, config: Mapping[str, Any]) -> None:
    """Create a database file in a format that the stock shell opens, if there is none yet.

    DuckDB keeps a file's format. To ask for it when connecting would be another configuration than
    a user's own connection to the file has, which DuckDB refuses.
    """
    given = {"storage_compatibility_version", "access_mode", "encryption_key"} & set(config)
    if given or ":" in database or not database:
        return
    try:
        if Path(database).exists():
            return
    except (OSError, ValueError):  # no name of a file: DuckDB says so
        return
    if Path(database).parent.is_dir():
        with duckdb.connect() as con:
            con.execute(
                f"ATTACH {text_literal(database)} AS made (STORAGE_VERSION '{SHELL_STORAGE}')"
            )


def tables(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Return the names of the tables and views that the connection sees, sorted."""
    rows = con.execute(
        "SELECT table_name FROM duckdb_tables() "
        "UNION SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1"
    ).fetchall()
    return tuple(row[0] for row in rows)


def views(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the definitions of the views that the connection sees, by name in lower case."""
    found = "SELECT lower(view_name), sql FROM duckdb_views() WHERE NOT internal"
    return {row[0]: row[1] or "" for row in con.execute(found).fetchall()}


def value(con: duckdb.DuckDBPyConnection, expression: str, params: Any) -> Any:
    """Return the value of a constant expression; `params` are the statement's parameters."""
    wanted = sorted(set(re.findall(r"\$(\w+)", expression)))
    given: Any = None
    if isinstance(params, Mapping):
        given = {name: params[name] for name in wanted if name in params} or None
    elif params and wanted:
        if named := [name for name in wanted if not name.isdecimal()]:
            raise QueryError(
                f"the parameter ${named[0]} has a name, and params is a {type(params).__name__}: "
                f"give a dict, {{{named[0]!r}: …}}"
            )
        given = list(params)[: max(int(name) for name in wanted)]
        shown = ", ".join(f"CAST(${i} AS VARCHAR)" for i in range(1, len(given) + 1))
        return con.execute(f"SELECT {expression}, {shown}", given).fetchall()[0][0]
    return con.execute(f"SELECT {expression}", given).fetchall()[0][0]
