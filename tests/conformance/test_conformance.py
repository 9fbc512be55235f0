"""The same statements, the same rows, in every host: each .sql here and its .json beside it.

`query()` is what `--accept` asks. Numbers agree within 1e-6 (surface.md's bound for results that
were trained; features of one machine are bit-equal, which tests/e2e show).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import foods
import pytest

import vista_sql
from vista_sql.hosts.dbt import Plugin
from vista_sql.hosts.duckdb import database as database_of

FILES = sorted(Path(__file__).parent.glob("*.sql"))
TOLERANCE = 1e-6
SELECT, EXECUTE = duckdb.StatementType.SELECT, duckdb.StatementType.EXECUTE

Rows = list[dict[str, Any]]


def statements(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the statements of a file, and whether each returns rows."""
    for statement in duckdb.extract_statements(text):
        yield statement.query, statement.type in (SELECT, EXECUTE)


def shown(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None  # as the shell prints it
    return value


def through_query(database: Path, text: str, _: Any) -> Rows:
    found: Rows = []
    with vista_sql.connect(database) as db:
        for statement, returns_rows in statements(text):
            result = db.query(statement)
            rows = result.fetchall()
            if returns_rows:
                found += [dict(zip(result.columns, row, strict=True)) for row in rows]
    return found


def through_attach(database: Path, text: str, _: Any) -> Rows:
    with duckdb.connect(str(database)) as con:
        vista_sql.attach(con)
        return on_connection(con, text)


def through_dbt(database: Path, text: str, _: Any) -> Rows:
    """As dbt-duckdb does: its plugin gets the connection, then each cursor."""
    plugin = Plugin("vista", {})
    con = duckdb.connect(str(database))
    try:
        plugin.configure_connection(con)
        with con.cursor() as cursor:
            plugin.configure_cursor(cursor)
            return on_connection(cursor, text)
    finally:
        con.close()


def on_connection(con: duckdb.DuckDBPyConnection, text: str) -> Rows:
    """Return the rows of statements that DuckDB binds by itself."""
    found: Rows = []
    for statement, returns_rows in statements(text):
        relation = con.sql(statement)
        if returns_rows:
            rows = relation.fetchall()
            found += [dict(zip(relation.columns, row, strict=True)) for row in rows]
    return found


def through_shell(database: Path, text: str, shell: Any) -> Rows:
    return list(shell.rows(text, database, cwd=database.parent))


HOSTS: dict[str, Callable[[Path, str, Any], Rows]] = {
    "query": through_query,
    "attach": through_attach,
    "shell": through_shell,
    "dbt": through_dbt,
}


@pytest.mark.parametrize("name", HOSTS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_rows_are_those_expected(file, name, tmp_path, monkeypatch, shell, accept):
    monkeypatch.chdir(tmp_path)
    database = tmp_path / "foods.duckdb"
    database_of.create_file(str(database), {})
    with duckdb.connect(str(database)) as con:
        foods.fill(con)
    found = [
        {column: shown(value) for column, value in row.items()}
        for row in HOSTS[name](database, file.read_text(), shell)
    ]
    kept = file.with_suffix(".json")
    if accept and name == "query":
        lines = ",\n".join(json.dumps(row) for row in found)
        kept.write_text(f"[\n{lines}\n]\n")
    expected = json.loads(kept.read_text())
    assert len(found) == len(expected)
    for number, (row, wanted) in enumerate(zip(found, expected, strict=True), 1):
        assert list(row) == list(wanted), number
        for column, value in wanted.items():
            if isinstance(value, float):
                near = pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE)
                assert row[column] == near, (number, column)
            else:
                assert row[column] == value, (number, column)
