"""What DuckDB is told, so that the rows of a query file are kept: as dbt-duckdb does it.

A table is replaced by one statement, so that the old one stays where the new one fails. New rows of
an incremental file are made first, by themselves, and then join the others in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vista_sql.errors import QueryError
from vista_sql.query_files import QueryFile
from vista_sql.sql import parse
from vista_sql.sql.quoting import identifier

_NEW = "__vista_new"


@dataclass(frozen=True, slots=True)
class Statements:
    """What DuckDB is told: `make` first, by itself; then `swap`, all or nothing; `tidy` always."""

    make: tuple[str, ...]
    swap: tuple[str, ...] = ()
    tidy: tuple[str, ...] = ()


def statements(
    file: QueryFile, sql: str, existing: str | None, columns: Sequence[str] = ()
) -> Statements:
    """Return what makes a file's rows a table or view, which is as before if any of it fails.

    The SELECT begins on the first line of a statement, so that lines are counted as in `sql`.

    Args:
        file: the file.
        sql: its SELECT.
        existing: what has its name in the database: 'table', 'view' or None.
        columns: those of the table that new rows are added to; none: it is made anew.

    Raises:
        QueryError: it would replace a table that it reads itself.
    """
    name = str(file.relation)
    if not columns and any(
        read.lower() == file.relation.identifier.lower()
        for read in (
            *parse.table_names(parse.parse(sql)[0]),
            *(one.identifier for one in file.sources),
        )
    ):
        raise QueryError(
            f"it would replace {name}, which it reads: call the file otherwise, or give config an "
            "alias"
        )
    new = identifier(f"{file.relation.identifier}{_NEW}")
    if columns:
        shown = ", ".join(identifier(column) for column in columns)
        keys = ", ".join(identifier(key) for key in file.unique_key)
        same = f"({keys}) IN (SELECT ({keys}) FROM {new})" if keys else ""
        return Statements(
            (f"CREATE OR REPLACE TEMP TABLE {new} AS {sql}",),
            (
                *((f"DELETE FROM {name} WHERE {same}",) if keys else ()),
                f"INSERT INTO {name} ({shown}) SELECT {shown} FROM {new}",
            ),
            (f"DROP TABLE IF EXISTS {new}",),
        )
    kind = "VIEW" if file.materialized == "view" else "TABLE"
    if existing in (None, kind.lower()):
        return Statements((f"CREATE OR REPLACE {kind} {name} AS {sql}",))
    if kind == "VIEW":
        return Statements((), (f"DROP TABLE {name}", f"CREATE VIEW {name} AS {sql}"))
    return Statements(
        (f"CREATE OR REPLACE TABLE {new} AS {sql}",),
        (f"DROP VIEW {name}", f"ALTER TABLE {new} RENAME TO {name}"),
        (f"DROP TABLE IF EXISTS {new}",),
    )
