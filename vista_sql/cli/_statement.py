"""Where a command's statement comes from, and the session that it runs in."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vista_sql.cli._app import Failure

if TYPE_CHECKING:
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


@contextmanager
def opened(db: Path | None, sql: str = "") -> Iterator[Session]:
    """Open a session, close it in the end.

    Args:
        db: the database's file; None: in memory.
        sql: what will run there; a file that is not there yet is created for it, and told of.
            Without it nothing is created.

    Raises:
        Failure: there is no such file, and nothing would run there.
    """
    from vista_sql import connect

    if db is not None and not db.exists():
        if sql.strip() and db.absolute().parent.is_dir():
            click.echo(f"vista: {db} is new", err=True)
        else:
            raise Failure(f"there is no database {db}; check --db")
    writable = db is None or os.access(db if db.exists() else db.parent, os.W_OK)
    with connect(db or ":memory:", read_only=not writable) as session:
        yield session


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
