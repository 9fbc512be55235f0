"""`vista demo`: the main job on real data, offline."""

from __future__ import annotations

import shlex
import textwrap
import time
from importlib.resources import files
from pathlib import Path

import click

from vista_sql import datasets, report
from vista_sql.cli import _ending, _output
from vista_sql.cli._app import Command, Failure
from vista_sql.cli._statement import nothing_in_scope, opened
from vista_sql.cli.report import write
from vista_sql.progress import bar

QUERIES = "vista_sql.queries"
COPIED = "digits"  # the folder of queries that is put beside the data
BY_LAYER = "digits_by_layer"
MODEL = "digits"  # that the query keeps
REPORT = "report.html"
DEFAULT_FOLDER = Path("vista-demo")
WIDTH = 100  # of lines of text


@click.command(
    "demo",
    cls=Command,
    short_help="Compare layers on real data that is included.",
    epilog="""Examples:

\b
  vista demo                 into ./vista-demo
  vista demo /tmp/digits""",
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_FOLDER)
def COMMAND(folder: Path) -> None:
    """Compare layers on real data: which layer's features tell handwritten digits apart best?

    Writes scikit-learn's digits 5 to 9 into FOLDER (./vista-demo) as PNG files, with a table about
    them, and trains one model for each layer of a LeNet-5 that has only seen 0 to 4. It needs no
    network and takes under a minute. You can run it again as often as you like.
    """
    from vista_sql import query_files

    began = time.perf_counter()
    if folder.is_dir() and any(folder.iterdir()) and not datasets.is_digits(folder):
        raise Failure(f"{folder} holds other files; name a new or empty folder: vista demo FOLDER")
    click.echo(f"Writing the handwritten digits 5 to 9 into {folder} …", err=True)
    datasets.digits(folder)
    for file in files(QUERIES).joinpath(COPIED).iterdir():
        if file.name.endswith(".sql"):
            (folder / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    db, file = folder / datasets.DATABASE, folder / f"{BY_LAYER}.sql"
    query = query_files.read([file], {})[0].render(BY_LAYER)
    statement = textwrap.indent(query[query.index("\nSELECT") :].strip(), "  ")
    click.echo(f"\n{file}:\n\n{statement}\n", err=True)
    with opened(db) as session:
        with bar() as progress:
            result = session.query(query, progress=progress, scope=nothing_in_scope)
            rows = result.arrow().to_pylist()
        _output.write(result, _output.Target("table", None), 0)()
        remedy = report.missing()
        if remedy is None:
            write(session, MODEL, folder / REPORT)
    told = f"{_ending.summary(rows)} {time.perf_counter() - began:.0f} s in all."
    click.echo("\n" + textwrap.fill(told, WIDTH), err=True)
    on_db = f"--db {shlex.quote(str(db))}"
    predict = shlex.quote(str(folder / "digits_predict.sql"))
    places: list[tuple[Path | str, str]] = [
        (folder / datasets.IMAGES, "the images"),
        (db, "tables digits and digit_images"),
        (f"{db}.vista", "the models that were kept, and what was run"),
        (folder / "*.sql", "this query and others; `vista run` keeps what they return"),
    ]
    commands = (
        f"vista query {predict} {on_db}",
        f"vista explain {shlex.quote(str(file))} {on_db}",
        f"vista run {shlex.quote(str(folder))} {on_db}",
        f"vista models {on_db}",
        "vista cnns",
        "vista start FOLDER LABELS.csv --label COLUMN      with pictures of your own",
    )
    how = f"vista report {MODEL} {on_db}"
    click.echo(_ending.directions(folder / REPORT, remedy, how, places, commands), err=True)
