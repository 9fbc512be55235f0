"""`vista run`: query files in the order in which they need each other, as dbt runs them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vista_sql.cli._app import Command, Failure, sentence, show_traceback
from vista_sql.cli._statement import cluster, connected, nothing_in_scope, on_spark
from vista_sql.errors import Place, QueryError, VistaError
from vista_sql.progress import Report, bar

if TYPE_CHECKING:
    from vista_sql.query_files import Project, QueryFile
    from vista_sql.query_files.materializations import Existing, Statements
    from vista_sql.session import Session


def _variables(_: click.Context, __: click.Parameter, assignments: Sequence[str]) -> dict[str, Any]:
    """Return the values of --var by name: JSON where it is, else text."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{assignment!r} is not of the form NAME=VALUE")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


@click.command(
    "run",
    cls=Command,
    short_help="Run a folder of query files, as dbt does.",
    epilog="""Examples:

\b
  vista run queries/digits --db vista-demo/demo.duckdb
  vista run queries --select +digits_predict --db vista-demo/demo.duckdb
  vista run models --var newest=2026-01-31 --full-refresh --db my.duckdb
  vista run models --spark spark://host:7077""",
)
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--db",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The DuckDB database; created if absent.",
)
@cluster()
@click.option(
    "--select",
    "wanted",
    multiple=True,
    metavar="NAME",
    help="Run only this file, path:FOLDER or tag:TAG; +NAME: also what it needs, NAME+: also what "
    "needs it. Repeatable.",
)
@click.option(
    "--var",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_variables,
    help="Set the value of var('NAME'). Repeatable.",
)
@click.option("--full-refresh", is_flag=True, help="Make incremental tables again from all rows.")
def COMMAND(
    paths: tuple[Path, ...],
    db: Path | None,
    cluster: str | None,
    wanted: tuple[str, ...],
    variables: dict[str, Any],
    full_refresh: bool,
) -> None:
    """Run query files (.sql files, or folders of them) in the order in which they need each other.

    A file holds one SELECT, whose rows become the table or view with the file's name, as its
    config(materialized=…) says: 'view' (the default), 'table', 'incremental' or 'ephemeral'. Files
    may use dbt's Jinja: ref, source, var, env_var, config, this, is_incremental(). If one fails,
    its table stays as it was, those that need it are skipped, and the others run. With --spark the
    files hold Spark SQL, and tables are the session's catalog's.
    """
    if db is None and cluster is None:
        raise click.UsageError("Missing option '--db': the DuckDB database, or '--spark': a master")
    from vista_sql import query_files
    from vista_sql.query_files.configuration import PROJECT_FILE
    from vista_sql.sql.dialect import DUCKDB, SPARK

    dialect = DUCKDB if cluster is None else SPARK
    project, names = query_files.read(paths, variables, dialect)
    order = project.ordered(project.select(wanted, names) if wanted else names)
    for configured in project.unused():
        click.echo(f"vista: {PROJECT_FILE} configures {configured}, which is not there", err=True)
    wrong = project.broken(order)  # errors in a file's text are reported before anything runs
    for name, error in wrong.items():
        _tell(project.path(name), error)
    missed = dict.fromkeys(wrong, "left out")  # what does not run to its end, and how
    stored = [
        name
        for name in order
        if name not in wrong and project.file(name).materialized != "ephemeral"
    ]
    with _storing(db, cluster) as store:
        for number, name in enumerate(stored, 1):
            head = f"{number} of {len(stored)}  {name}"
            lacking = sorted(project.needed_by(name) & missed.keys())
            if lacking:
                missed[name] = "skipped"
                click.echo(f"{head}  skipped: it needs {', '.join(lacking)}")
                continue
            try:
                click.echo(f"{head}  {store(project, name, full_refresh=full_refresh)}")
            except Exception as error:  # one file's; the others run
                missed[name] = "failed"
                click.echo(f"{head}  failed")
                show_traceback(click.get_current_context())
                _tell(project.path(name), error)
    if missed:
        ways = ("left out", "failed", "skipped")
        counts = [(how, list(missed.values()).count(how)) for how in ways]
        shown = ", ".join(f"{count} {how}" for how, count in counts if count)
        raise Failure(f"{shown} of {len(stored) + len(wrong)}; correct the first and run again")


@contextmanager
def _storing(db: Path | None, url: str | None) -> Iterator[Callable[..., str]]:
    """Yield what stores a file's rows as its table or view, and says how."""
    if url is not None:
        with on_spark(url, db, keeps=True) as spark:
            from vista_sql.hosts.spark import tables

            yield partial(tables.stored, spark)
        return
    with connected(db) as session:
        yield partial(_stored, session)


def _tell(path: Path, error: Exception) -> None:
    """Say on stderr what is wrong with a file."""
    told = sentence(error)
    click.echo(f"vista: {told if told.startswith(str(path)) else f'{path}: {told}'}", err=True)


def _stored(session: Session, project: Project, name: str, *, full_refresh: bool) -> str:
    """Store one file's rows as its table or view; return the line's end that says how."""
    from vista_sql.query_files import materializations
    from vista_sql.units import format_count

    file = project.file(name)
    for other in project.file(name).needs:
        needed = project.file(other)
        if needed.materialized != "ephemeral" and _existing(session, needed) is None:
            raise QueryError(
                f"it needs {other}, which is not there yet: add --select +{name}, or run "
                f"{needed.path} first"
            )
    began, clock = datetime.now(UTC).isoformat(timespec="milliseconds"), time.perf_counter()
    existing = _existing(session, file)
    adds = file.materialized == "incremental" and existing == "table" and not full_refresh
    columns = session.con.table(str(file.relation)).columns if adds else ()
    before = _rows(session, file) if adds else 0
    sql = project.render(name, incremental=adds)
    statements = materializations.statements(file, sql, existing, columns)
    if adds:  # before anything is inferred
        made = session.query(sql, scope=nothing_in_scope).columns
        materializations.check_columns(file, made, columns)
    try:
        with bar(name) as progress:
            _carry_out(session, statements, progress)
    except VistaError as error:
        found = error
        try:
            if file.materialized == "view":  # DuckDB binds a view; this has the place
                session.rewrite(f"CREATE TABLE it AS {sql}")
        except VistaError as located:
            found = located
        raise _in_file(found, sql) from None
    if file.materialized == "view":
        return "view"
    added = _rows(session, file) - before
    rows = f"{'+' if adds and added >= 0 else ''}{format_count(added, 'row')}"
    inferred = sum(_inferred(session, began))
    images = f", {format_count(inferred, 'image')} inferred" if inferred else ""
    kind = "seed" if file.is_seed else file.materialized
    return f"{kind}, {rows}{images}, {time.perf_counter() - clock:.1f} s"


def _in_file(error: VistaError, sql: str) -> VistaError:
    """Return an error about the statement that stores a file's rows as one about the file's own."""
    place = error.place
    if not isinstance(error, QueryError) or place is None or not place.text.endswith(sql):
        return error
    before = len(place.text) - len(sql)
    return error.moved(Place(sql, max(place.start - before, 0), max(place.end - before, 0)))


def _carry_out(session: Session, statements: Statements, progress: Report) -> None:
    """Run what makes a table or view; nothing of it stays where it fails."""
    try:
        for text in statements.make:
            session.query(text, progress=progress, scope=nothing_in_scope)
        if statements.swap:
            session.con.begin()
            try:
                for text in statements.swap:
                    session.query(text, scope=nothing_in_scope)
            except BaseException:
                session.con.rollback()
                raise
            session.con.commit()
    finally:
        for text in statements.tidy:
            session.con.execute(text)


def _existing(session: Session, file: QueryFile) -> Existing | None:
    """Return what has a file's name in the database, if anything."""
    kinds = session.con.execute(
        "SELECT lower(table_type) FROM information_schema.tables "
        "WHERE table_catalog = current_database() AND lower(table_name) = lower(?) "
        "AND lower(table_schema) = lower(coalesce(?, current_schema()))",
        [file.relation.identifier, file.relation.schema],
    ).fetchall()
    if not kinds:
        return None
    return "view" if kinds[0][0] == "view" else "table"


def _rows(session: Session, file: QueryFile) -> int:
    return int(session.con.execute(f"SELECT count(*) FROM {file.relation}").fetchall()[0][0])


def _inferred(session: Session, began: str) -> Iterator[int]:
    """Yield how many images each run since `began` inferred."""
    from vista_sql import runs

    for run in runs.read(session.home(session.settings())):
        if run.started < began:
            return
        yield run.images_inferred
