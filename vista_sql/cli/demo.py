"""`vista demo`: the main job on real data, offline."""

from __future__ import annotations

import shlex
import textwrap
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from vista_sql import datasets, report
from vista_sql.cli import _output
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


@click.command(
    "demo",
    cls=Command,
    short_help="Run the main job on real data that it brings.",
    epilog="""Examples:

\b
  vista demo                 into ./vista-demo
  vista demo /tmp/digits""",
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_FOLDER)
def COMMAND(folder: Path) -> None:
    """Run the main job on real data: which layer's features tell handwritten digits apart best?

    Writes the digits 5 to 9 of scikit-learn into FOLDER (./vista-demo) as PNG files beside a table
    of structured columns, and trains one model a layer of a LeNet-5 that was trained on 0 to 4.
    Offline; under a minute. Run it again as often as you like.
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
    seconds = time.perf_counter() - began
    click.echo(_summary(rows, seconds), err=True)
    click.echo(_directions(folder, db, remedy), err=True)


def _summary(rows: list[dict[str, Any]], seconds: float) -> str:
    """Return what the table says, in a sentence."""
    alone = next(row for row in rows if row["feature_set"] == "structured")
    best = max(rows, key=lambda row: row["f1_score"])
    text = f"\nF1 on images that training did not see: {alone['f1_score']:.3f} by the structured "
    if best is alone:
        text += "columns alone; no layer helps."
    else:
        text += (
            f"columns alone, {best['f1_score']:.3f} with\nthe features of "
            f"{best['feature_set'].partition('+')[2]} beside them: a lift of {best['lift']:.3f}."
        )
    return f"{text} {seconds:.0f} s in all."


def _directions(folder: Path, db: Path, remedy: str | None) -> str:
    """Return where things lie, and what to try next."""
    on_db = f"--db {shlex.quote(str(db))}"
    predict, by_layer = (
        shlex.quote(str(folder / f"digits_{name}.sql")) for name in ("predict", "by_layer")
    )
    places = (
        *(((folder / REPORT, "the report: open it in a browser"),) if remedy is None else ()),
        (folder / datasets.IMAGES, "the images"),
        (db, "tables digits and digit_images"),
        (f"{db}.vista", "the models that were kept, and what was run"),
        (folder / "*.sql", "this query and others; `vista run` keeps what they return"),
    )
    width = max(len(str(place)) for place, _ in places)
    return "\n".join(
        (
            "\nWhere it lies",
            *(f"  {place!s:<{width}}  {what}" for place, what in places),
            *(
                (f"\nNo report was written: {remedy}\n  vista report {MODEL} {on_db}",)
                if remedy
                else ()
            ),
            "\nTry next",
            f"  vista query {predict} {on_db}",
            f"  vista explain {by_layer} {on_db}",
            f"  vista run {shlex.quote(str(folder))} {on_db}",
            f'  vista query "FROM VISTA_MODELS()" {on_db}',
            "  vista cnns",
        )
    )
