"""A query file's SELECT → the SQL that stores its rows as a table or view, as dbt-duckdb does it.

A table is replaced by one statement, so that the old one stays where the new one fails. New rows of
an incremental file are made first, by themselves, and then join the others in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import QueryError
from vista_sql.query_files.file import QueryFile
from vista_sql.sql import parse
from vista_sql.sql.dialect import DUCKDB, Dialect
from vista_sql.sql.quoting import identifier

Existing = Literal["table", "view"]
"""What has a file's name in the database before it runs."""

_NEW = "__vista_new"


class Statements(Struct, frozen=True):
    """SQL that stores rows: `make` runs first; then `swap`, all or nothing; `tidy` always."""

    make: tuple[str, ...]
    swap: tuple[str, ...] = ()
    tidy: tuple[str, ...] = ()


def statements(
    file: QueryFile, sql: str, existing: Existing | None, columns: Sequence[str] = ()
) -> Statements:
    """Return the SQL that stores a SELECT's rows under a file's name; failing, it changes nothing.

    The SELECT begins on the first line of a statement, so that lines are counted as in `sql`.

    Args:
        file: the file.
        sql: its SELECT.
        existing: what has its name in the database.
        columns: those of the table that new rows are added to; none: it is made anew.

    Raises:
        QueryError: it would replace a table that it reads itself.

    Example:
        >>> from pathlib import Path
        >>> from vista_sql.query_files.file import TableName
        >>> file = QueryFile("foods", Path("foods.sql"), "", "table", TableName("foods"))
        >>> statements(file, "SELECT 1 AS id", existing="table").make
        ('CREATE OR REPLACE TABLE "foods" AS SELECT 1 AS id',)
        >>> statements(file, "SELECT 1 AS id", existing="view").swap
        ('DROP VIEW "foods"', 'ALTER TABLE "foods__vista_new" RENAME TO "foods"')
    """
    if columns:
        return _added(file, sql, columns)
    check_reads(file, sql)
    schema = file.relation.schema
    name, new = str(file.relation), str(replace(file.relation, identifier=_new(file)))
    within = (f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}",) if schema else ()
    wanted: Existing = "view" if file.materialized == "view" else "table"
    match wanted, existing:
        case "view", "table":  # CREATE OR REPLACE replaces nothing of another kind
            return Statements(within, (f"DROP TABLE {name}", f"CREATE VIEW {name} AS {sql}"))
        case "table", "view":
            return Statements(
                (*within, f"CREATE OR REPLACE TABLE {new} AS {sql}"),
                (
                    f"DROP VIEW {name}",
                    f"ALTER TABLE {new} RENAME TO {identifier(file.relation.identifier)}",
                ),
                (f"DROP TABLE IF EXISTS {new}",),
            )
        case _:
            return Statements((*within, f"CREATE OR REPLACE {wanted.upper()} {name} AS {sql}"))


def check_reads(file: QueryFile, sql: str, dialect: Dialect = DUCKDB) -> None:
    """Raise an error where a file would replace a table that it reads itself.

    Args:
        file: the file.
        sql: its SELECT.
        dialect: of that.

    Raises:
        QueryError: it would.
    """
    if file.is_seed:
        return
    schema = file.relation.schema
    unqualified = [] if schema else parse.table_names(parse.parse(sql, dialect)[0])
    sources = [s.identifier for s in file.sources if schema in (None, s.schema)]
    read = (*unqualified, *sources)
    if file.relation.identifier.lower() in (name.lower() for name in read):
        raise QueryError(
            f"it would replace {file.relation}, which it reads: rename the file, or give "
            "config an alias"
        )


def check_columns(file: QueryFile, made: Sequence[str], columns: Sequence[str]) -> None:
    """Raise an error where new rows have columns that the table they are added to has not.

    Args:
        file: the file; incremental.
        made: the columns that its SELECT makes.
        columns: those of the table.

    Raises:
        QueryError: names them, and says what to do.
    """
    there = {column.lower() for column in columns}
    new = [column for column in made if column.lower() not in there]
    if new:
        named = ", ".join(map(identifier, new))
        raise QueryError(
            f"{file.relation} has no column {named}, which the file now makes: add it with ALTER "
            f"TABLE {file.relation} ADD COLUMN …, make the table anew with --full-refresh, or "
            "leave it out of the SELECT"
        )


def _added(file: QueryFile, sql: str, columns: Sequence[str]) -> Statements:
    """Return the SQL that adds rows to a file's table, in place of those with the same key."""
    name, new = str(file.relation), identifier(_new(file))
    listed = ", ".join(identifier(column) for column in columns)
    keys = ", ".join(identifier(key) for key in file.unique_key)
    replaced = f"DELETE FROM {name} WHERE ({keys}) IN (SELECT ({keys}) FROM {new})"
    return Statements(
        (f"CREATE OR REPLACE TEMP TABLE {new} AS {sql}",),
        (
            *((replaced,) if keys else ()),
            f"INSERT INTO {name} ({listed}) SELECT {listed} FROM {new}",
        ),
        (f"DROP TABLE IF EXISTS {new}",),
    )


def _new(file: QueryFile) -> str:
    """Return the name of the table in which new rows are made."""
    return f"{file.relation.identifier}{_NEW}"
