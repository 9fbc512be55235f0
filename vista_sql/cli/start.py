"""`vista start`: from a folder of pictures and a table of labels to a project."""

from __future__ import annotations

import shlex
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vista_sql import report
from vista_sql.cli import _ending, _output
from vista_sql.cli._app import Command, Failure
from vista_sql.cli._statement import nothing_in_scope
from vista_sql.cli.report import write as write_report
from vista_sql.progress import bar
from vista_sql.projects import labels as tables
from vista_sql.projects import networks, written

if TYPE_CHECKING:
    import pyarrow as pa

    from vista_sql.session import Session

REPORT = "report.html"
MOST_ERRORS = 5  # unreadable images that are shown
WIDTH = 100  # of lines of text
WARNING = "warning"  # a column of the comparison


@click.command(
    "start",
    cls=Command,
    short_help="Begin a project with pictures of your own.",
    epilog="""Examples:

\b
  vista start photos labels.csv --label breed
  vista start photos                           each picture's folder is its label
  vista start photos labels.csv --label price --cnn resnet50 --project prices

Some column of LABELS.csv names the pictures, with or without their folder and ending.""",
)
@click.argument(
    "folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.argument(
    "table",
    metavar="[LABELS.csv]",
    required=False,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--label", metavar="COLUMN", help="The column to learn.")
@click.option("--key", metavar="COLUMN", help="The column that names the pictures. Default: found.")
@click.option(
    "--cnn",
    metavar="CNN",
    help="A name from `vista cnns`, or a .keras or .onnx file. "
    "Default: one whose weights are here.",
)
@click.option(
    "--weights", metavar="WEIGHTS", help="Weights for --cnn: a file, or 'random' for a rehearsal."
)
@click.option(
    "--project",
    "place",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the project goes. Default: ./vista-<name of FOLDER>.",
)
def COMMAND(
    folder: Path,
    table: Path | None,
    label: str | None,
    key: str | None,
    cnn: str | None,
    weights: str | None,
    place: Path | None,
) -> None:
    """Begin a project: which layer of a network tells most about your pictures?

    It makes a folder with a database, query files that you can change, a first comparison of layers
    and its report, and says what to type next. FOLDER holds the pictures, also in folders of its
    own; LABELS.csv has a row for each. Without a table, the folder that a picture is in is its
    label. Your pictures and your table are only read. Run it again when you have more of them.
    """
    from vista_sql import connect

    if weights is not None and cnn is None:
        raise click.UsageError("--weights are for a CNN: name it with --cnn")
    place = place or Path(f"vista-{folder.absolute().resolve().name}")
    with connect() as session:  # in memory: nothing is written until all is known to be right
        pictures = tables.find_pictures(session, folder)
        if table is None:
            if key is not None:
                raise click.UsageError("--key names a column of a table: give LABELS.csv too")
            labels, rows = tables.by_folder(session, pictures, label), None
        else:
            labels = tables.from_table(session, pictures, table, label, key)
            rows = session.con.sql(f"FROM {tables.TABLE}").to_arrow_table()
    network = networks.choose(cnn, weights)
    paths = [str(path.absolute()) for path in (folder, table) if path is not None]
    options = {"--label": labels.label, "--key": key, "--cnn": cnn, "--weights": weights}
    given = [word for name, value in options.items() if value is not None for word in (name, value)]
    command = shlex.join(["vista", "start", *paths, *given])
    try:
        changed = written.write(place, written.texts(pictures, labels, network, command, place))
    except OSError as error:
        raise Failure(
            f"the project cannot be written to {place} ({error.strerror}): name a folder that you "
            "may write into with --project FOLDER"
        ) from None
    for note in labels.notes:
        _say(f"{note}.")
    if labels.left_out:
        left = "; ".join(f"{column} ({why})" for column, why in labels.left_out)
        _say(f"Not used as features: {left}.")
    _say(f"The network: {network.note}.")
    for name in changed:
        _say(f"{place / name} was there, differs from what this command writes, and is kept.")
    with connect(place / written.DATABASE) as session:
        if rows is not None:
            _keep(session, rows)
        compared = _compare(session, place / written.COMPARE)
        remedy = report.missing()
        if remedy is None:
            write_report(session, written.MODEL, place / REPORT)
    click.echo(err=True)
    _say(_ending.summary(compared))
    click.echo(_directions(place, labels, remedy), err=True)


def _say(text: str) -> None:
    click.echo(textwrap.fill(text, WIDTH, subsequent_indent="  "), err=True)


def _keep(session: Session, rows: pa.Table) -> None:
    """Make the project's table of labels anew."""
    session.con.register("__vista_labels", rows)
    try:
        session.con.execute(f"CREATE OR REPLACE TABLE {tables.TABLE} AS FROM __vista_labels")
    finally:
        session.con.unregister("__vista_labels")


def _compare(session: Session, file: Path) -> list[dict[str, Any]]:
    """Run the comparison, show its statement, its rows, and the images that could not be read."""
    from vista_sql import query_files

    project, (name,) = query_files.read([file], {})
    query = project.render(name)
    statement = textwrap.indent(query[query.index("\nSELECT") :].strip(), "  ")
    click.echo(f"\n{file}:\n\n{statement}\n", err=True)
    began = datetime.now(UTC).isoformat(timespec="milliseconds")
    with bar() as progress:
        result = session.query(query, progress=progress, scope=nothing_in_scope)
        rows: list[dict[str, Any]] = result.arrow().to_pylist()
    _output.show(result, without=WARNING)  # which is long, and much the same in each row
    click.echo(err=True)
    for warning in dict.fromkeys(row[WARNING] for row in rows if row.get(WARNING)):
        _say(f"! {warning}")
    _tell_of_unreadable(session, began)
    return rows


def _tell_of_unreadable(session: Session, began: str) -> None:
    """Say how many images of the run since `began` could not be read, and show some."""
    from vista_sql import runs

    run = next(runs.read(session.home(session.settings())), None)
    if run is None or run.started < began or not run.errors:
        return
    click.echo(f"{run.errors:,} of {run.images:,} pictures cannot be read:", err=True)
    reasons = list(run.reasons)
    for key, reason in reasons[:MOST_ERRORS]:
        click.echo(f"  {key}: {reason}", err=True)
    if len(reasons) > MOST_ERRORS:
        click.echo("  … FROM VISTA_ERRORS() lists them all", err=True)


def _directions(place: Path, labels: tables.Labels, remedy: str | None) -> str:
    """Return where things lie, and what to try next."""
    database = place / written.DATABASE
    on_db = f"--db {shlex.quote(str(database))}"
    table = f"table {labels.table}" if labels.table else "no table yet"
    places: list[tuple[Path | str, str]] = [
        (place / written.COMPARE, "the comparison above, to change"),
        (place / written.PREDICT, "what the model takes each picture for"),
        (database, f"the database: {table}; `vista run` adds what the queries return"),
        (f"{database}.vista", "the models that were kept, and what was run"),
    ]
    commands = (
        f"vista run {shlex.quote(str(place / written.FOLDER))} {on_db}",
        f'vista query "FROM predict LIMIT 20" {on_db}',
        f"vista models {on_db}",
        f"cd {shlex.quote(str(place))} && dbt build      does what vista run does (extra `dbt`)",
    )
    how = f"vista report {written.MODEL} {on_db}"
    return _ending.directions(place / REPORT, remedy, how, places, commands)
