"""Where a command's statement comes from, and the session that it runs in."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from vista_sql.cli._app import Failure
from vista_sql.sql.quoting import text_literal

if TYPE_CHECKING:
    from vista_sql.hosts.spark.session import Spark
    from vista_sql.session import Session


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def statement() -> Decorator:
    """Return the argument SQL|FILE|-; the command gets the statement's text."""
    return click.argument("sql", metavar="SQL|FILE|-", callback=_text)


def _text(_: click.Context, __: click.Parameter, value: str) -> str:
    """Return the statement: what stdin holds, what a file holds, or the value itself.

    A query file (see `vista run`) gives its SELECT; what it refers to is read where it was kept.
    """
    one_word = len(value.split()) == 1
    try:
        if value == "-":
            return sys.stdin.buffer.read().decode("utf-8-sig")
        if _is_file(value):
            text = Path(value).read_text(encoding="utf-8-sig")
            return _rendered(Path(value)) if "{{" in text or "{%" in text else text
    except UnicodeDecodeError:
        raise click.BadParameter(f"{value} is not a UTF-8 text file") from None
    if one_word and value.lower().endswith(".sql"):
        raise click.BadParameter(f"there is no file {value}")
    return value


def _rendered(path: Path) -> str:
    """Return the SELECT of a query file."""
    from vista_sql import query_files

    project, (name,) = query_files.read([path], {})
    return project.render(name)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long for a file's name, as statements are
        return False


def database() -> Decorator:
    """Return the option --db FILE."""
    return click.option(
        "--db",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="The DuckDB database; without it, one in memory.",
    )


def cluster() -> Decorator:
    """Return the option --spark URL."""
    return click.option(
        "--spark",
        "cluster",
        metavar="URL",
        help="Run as Spark SQL there: local[2], spark://host:7077, yarn, sc://host.",
    )


@contextmanager
def on_spark(url: str, db: Path | None = None, *, keeps: bool = False) -> Iterator[Spark]:
    """Open a Spark session, stop it in the end.

    Args:
        url: a master or a server.
        db: of DuckDB, if one was named.
        keeps: tables that it makes outlive it.

    Raises:
        Failure: pyspark is not installed, or a database was named, too.
    """
    if db is not None:
        raise Failure("--db is DuckDB's, and --spark runs on Spark's own tables: leave one out")
    try:
        from vista_sql.hosts.spark.opening import opened as opened_spark
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("pyspark", "py4j"):
            raise
        raise Failure("Spark is not installed: pip install 'vista-sql[spark]'") from error
    with opened_spark(url, keeps=keeps) as session:
        yield session


@contextmanager
def opened(db: Path | None, sql: str = "") -> Iterator[Session]:
    """Open a session, close it in the end.

    Args:
        db: the database's file; None: in memory.
        sql: what will run there; a file that is not there yet is created for it, and told of.
            Without it nothing is created.

    Raises:
        Failure: there is no such file, and nothing would run there; or another process holds it.
    """
    if db is not None and not db.exists():
        if sql.strip() and db.absolute().parent.is_dir():
            click.echo(f"vista: {db} is new", err=True)
        else:
            raise Failure(f"there is no database {db}; check --db")
    writable = db is None or os.access(db if db.exists() else db.parent, os.W_OK)
    with connected(db, read_only=not writable) as session:
        yield session


class Held(Struct, frozen=True):
    """A database's file that another process has open for writing: its tables cannot be read."""

    db: Path
    process: str  # its id; "" where it is not known

    def __str__(self) -> str:
        process = f"process {self.process}" if self.process else "another process"
        return (
            f"{self.db} is open in {process} (a notebook, perhaps), and DuckDB lets one process at "
            "a time write: close it there with db.close(), run this there, or copy the tables "
            "that it needs to another database"
        )


@contextmanager
def read_only(db: Path | None) -> Iterator[tuple[Session, Held | None]]:
    """Open a session for a command that changes no table, close it in the end.

    Args:
        db: the database's file; None: in memory.

    Yields:
        A session, and None; or, where another process holds the file, a session in memory with
        the database's models and runs but without its tables.

    Raises:
        Failure: there is no such file.
    """
    from vista_sql import connect

    if db is not None and not db.exists():
        raise Failure(f"there is no database {db}; check --db, or create it with duckdb")
    try:
        opened = connected(db, read_only=db is not None)
    except _IsHeld as error:
        with connect() as session:
            if session.settings().value("home").value is None:
                home = text_literal(f"{error.held.db.absolute()}.vista")
                session.con.execute(f"SET VARIABLE vista_home = {home}")
            yield session, error.held
        return
    with opened as session:
        yield session, None


@contextmanager
def planning(db: Path | None) -> Iterator[Session]:
    """Open a session to plan in, close it in the end.

    Where another process holds the database, what reads images from files and needs no table of
    the database is planned all the same.

    Raises:
        Failure: there is no such file; or it is held, and a table of it is needed.
    """
    import duckdb

    from vista_sql.errors import QueryError

    with read_only(db) as (session, held):
        try:
            yield session
        except (QueryError, duckdb.CatalogException, duckdb.BinderException) as error:
            if held is None:
                raise
            raise Failure(f"{str(error).splitlines()[0]}; {held}") from error


class _IsHeld(Failure):
    """A database cannot be opened, for another process has it."""

    def __init__(self, held: Held) -> None:
        super().__init__(str(held))
        self.held = held


def connected(db: Path | None, *, read_only: bool = False) -> Session:
    """Open a session.

    Raises:
        Failure: another process has the file.
    """
    import duckdb

    from vista_sql import connect

    try:
        return connect(db or ":memory:", read_only=read_only)
    except duckdb.IOException as error:
        if db is None or "lock" not in str(error):
            raise
        process = re.search(r"PID (\d+)", str(error))
        raise _IsHeld(Held(db, process[1] if process else "")) from error


def nothing_in_scope(name: str) -> None:
    """Find no variable: a name in the statement is never one of the command line's own."""


def tell_of_lost_models(session: Session, sql: str) -> None:
    """Say on stderr that what VISTA_TRAIN kept goes with a database in memory."""
    from vista_sql.sql import parse

    if session.settings().value("home").value is not None:
        return
    called = [found.call for statement in parse.parse(sql) for found in statement.calls]
    trained = [call.values.get("model") for call in called if call.function == "vista_train"]
    if trained:
        named = ", ".join(repr(name) for name in trained)
        message = f"model {named} is gone, for the database is in memory: --db FILE keeps it"
        click.echo(f"vista: {message}", err=True)


def tell_of_unreadable(session: Session, began: str) -> None:
    """Say on stderr how many images of the run since `began` could not be read."""
    from vista_sql import runs

    run = next(runs.read(session.home(session.settings())), None)
    if run is not None and run.started >= began and run.errors:
        message = runs.unreadable(run.errors, run.images, run.reasons)
        click.echo(f"vista: {message}", err=True)
