"""What a statement needs of its TRANSFER calls, over a few tables that DuckDB describes."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from vista_sql.sql import parse
from vista_sql.sql.needs import Needs, analyse
from vista_sql.sql.resolve import StandIn

NARROW = {"id": "INTEGER", "price": "DOUBLE", "Name": "VARCHAR", "tags": "INTEGER[]"}
COLUMNS = {**NARROW, "fc6": "FLOAT[84]", "fc7": "FLOAT[10]", "error": "VARCHAR"}
CON = duckdb.connect()
CON.execute(
    "CREATE TABLE o (id INTEGER, price DOUBLE, fc6 VARCHAR, label VARCHAR);"
    "CREATE TABLE b (id BIGINT, label VARCHAR); CREATE TABLE stock (id INTEGER, price DOUBLE)"
)


def columns_of(relation: str) -> Mapping[str, str] | None:
    try:
        rows = CON.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error:
        return None
    return {row[0]: row[1] for row in rows}


def stand_in(*, one_row_each: bool = True) -> StandIn:
    return StandIn(COLUMNS, frozenset(NARROW), one_row_each, "stock")


def statement_of(text: str) -> parse.Statement:
    """Return a statement in which {T} stands for a TRANSFER."""
    (statement,) = parse.parse(text.replace("{T}", "TRANSFER(cnn => 'x')"))
    return statement


def needs_of(text: str, *, one_row_each: bool = True) -> tuple[Needs, ...]:
    """Return the needs of the calls of a statement in which {T} stands for a TRANSFER."""
    statement = statement_of(text)
    calls = [stand_in(one_row_each=one_row_each)] * len(statement.calls)
    return analyse(statement, calls, columns_of)
