"""Every host there is, under one way to run a statement: what tests of all hosts iterate over.

A new host is one more entry of HOSTS; tests/contract/test_host.py, the golden statements, those of
tests/conformance and tests/property/test_plans_agree.py then run on it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import duckdb
from shells import Shells

import vista_sql
from vista_sql import Session, VistaError
from vista_sql.hosts.duckdb.database import create_file

ROWS = (
    duckdb.StatementType.SELECT,
    duckdb.StatementType.EXECUTE,
    duckdb.StatementType.EXPLAIN,
)
"""The statements whose rows are wanted; others tell how many rows they changed, or nothing."""


class Refused(Exception):
    """A statement failed; in the host's words."""


@dataclass(frozen=True)
class Table:
    """Rows as a host gives them; a value is what JSON has for it, floats and lists as they are."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    types: tuple[str, ...] = ()  # where the host tells them

    def dicts(self) -> list[dict[str, Any]]:
        """Return each row as column → value."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


NOTHING = Table((), [])

Fill = Callable[[duckdb.DuckDBPyConnection], None]
"""Makes tables in a new database."""


class Client(Protocol):
    """Someone who sends statements to a host, on one connection."""

    def run(self, statement: str) -> Table:
        """Run one statement and return its rows; raise Refused where it fails."""


@dataclass(frozen=True)
class Host:
    """Where statements run."""

    open: Callable[[Path, Shells], AbstractContextManager[Client]]  # on a database file
    sees_whole_statements: bool = False  # else each TRANSFER is planned by itself


@dataclass
class QueryClient:
    """`Session.query`."""

    session: Session

    def run(self, statement: str) -> Table:
        """Run one statement."""
        try:
            result = self.session.query(statement)
            rows = result.fetchall()
        except (VistaError, duckdb.Error) as error:
            raise Refused(str(error)) from error
        if not _returns_rows(statement):
            return NOTHING
        return Table(tuple(result.columns), _plain(rows), tuple(map(str, result.types)))


@dataclass
class ConnectionClient:
    """Plain `con.sql`, where DuckDB binds the statement."""

    con: duckdb.DuckDBPyConnection

    def run(self, statement: str) -> Table:
        """Run one statement."""
        try:
            relation = self.con.sql(statement)
            if relation is None or not _returns_rows(statement):
                return NOTHING
            rows = relation.fetchall()
        except duckdb.Error as error:
            raise Refused(str(error)) from error
        return Table(tuple(relation.columns), _plain(rows), tuple(map(str, relation.types)))


@dataclass
class ShellClient:
    """The stock duckdb shell at the other end of a pipe: it prints JSON, then a mark."""

    process: subprocess.Popen[str]
    statements: int = 0

    def run(self, statement: str) -> Table:
        """Run one statement."""
        assert self.process.stdin
        assert self.process.stdout
        self.statements += 1
        mark = f"-- end of statement {self.statements} --"
        self.process.stdin.write(f"{statement}\n;\n.print {mark}\n")
        self.process.stdin.flush()
        shown = []
        for line in self.process.stdout:
            if line.rstrip("\n") == mark:
                break
            shown.append(line)
        else:
            raise Refused(f"the shell ended: {''.join(shown)}")
        return _of_json("".join(shown))


def _of_json(text: str) -> Table:
    try:
        rows = json.loads(text, object_pairs_hook=_Pairs) if text.strip() else []
    except json.JSONDecodeError:
        raise Refused(text.strip()) from None
    columns = tuple(name for name, _ in rows[0]) if rows else ()
    return Table(columns, [tuple(_nested(value) for _, value in row) for row in rows])


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON: two columns may have one name."""


def _nested(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {name: _nested(part) for name, part in value}
    return [_nested(part) for part in value] if isinstance(value, list) else value


def _returns_rows(statement: str) -> bool:
    return duckdb.extract_statements(statement)[0].type in ROWS


def _plain(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(map(_plain_value, row)) for row in rows]


def _plain_value(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain_value(part) for part in value]
    if isinstance(value, dict):
        return {name: _plain_value(part) for name, part in value.items()}
    return str(value) if isinstance(value, (Decimal, date)) else value


@contextmanager
def _query(database: Path, _: Shells) -> Iterator[Client]:
    with vista_sql.connect(database) as session:
        yield QueryClient(session)


@contextmanager
def _attach(database: Path, _: Shells) -> Iterator[Client]:
    with duckdb.connect(str(database)) as con:
        vista_sql.attach(con)
        yield ConnectionClient(con)


@contextmanager
def _dbt(database: Path, _: Shells) -> Iterator[Client]:
    """As dbt-duckdb does: its plugin gets the connection, then each cursor."""
    from vista_sql.hosts.dbt import Plugin  # dbt takes a second to import

    plugin = Plugin("vista", {})
    con = duckdb.connect(str(database))
    try:
        plugin.configure_connection(con)
        with con.cursor() as cursor:
            plugin.configure_cursor(cursor)
            yield ConnectionClient(cursor)
    finally:
        con.close()


@contextmanager
def _shell(database: Path, shell: Shells) -> Iterator[Client]:
    process = subprocess.Popen(
        shell.command("-json", database),
        env=shell.environment,
        cwd=database.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield ShellClient(process)
    finally:
        process.communicate(timeout=60)


HOSTS = {
    "query": Host(_query, sees_whole_statements=True),
    "connection": Host(_attach),
    "shell": Host(_shell),
    "dbt": Host(_dbt),
}
"""By the names of `vista_sql.hosts.kinds()`; those that speak DuckDB's SQL."""

OTHER_DIALECTS = {"spark": "tests/contract/test_spark_host.py"}
"""Hosts whose statements are written otherwise, and the tests that show what they do."""


class Clients:
    """A client of each host, on a database file of its own; opened when first asked for."""

    def __init__(self, folder: Path, shell: Shells, fill: Fill, undo: ExitStack) -> None:
        self._folder, self._shell, self._fill, self._undo = folder, shell, fill, undo
        self._open: dict[str, Client] = {}

    def __getitem__(self, host: str) -> Client:
        if host not in self._open:
            file = database(self._folder / host, self._fill)
            self._open[host] = self._undo.enter_context(HOSTS[host].open(file, self._shell))
        return self._open[host]


@contextmanager
def clients(folder: Path, shell: Shells, fill: Fill) -> Iterator[Clients]:
    """Yield a client of every host, each on a database in `folder` that `fill` has filled."""
    with ExitStack() as undo:
        yield Clients(folder, shell, fill, undo)


def database(folder: Path, fill: Fill) -> Path:
    """Return a new database file that every host opens, filled by `fill`; `folder` is made."""
    folder.mkdir(exist_ok=True)
    file = folder / "test.duckdb"
    create_file(str(file), {})
    with duckdb.connect(str(file)) as con:
        fill(con)
    return file
