"""`vista report`: one HTML page about a training or a run, with plots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vista_sql import files
from vista_sql.cli._app import Command
from vista_sql.cli._statement import Held, database, read_only

if TYPE_CHECKING:
    from vista_sql.session import Session

FOLDER = "reports"  # beside the models that they are about


@click.command(
    "report",
    cls=Command,
    short_help="Write an HTML page about a training or a run.",
    epilog="""Examples:

\b
  vista report --db my.duckdb                      the newest training
  vista report healthy@3 --db my.duckdb -o healthy.html
  vista report 20260101T120000 --db my.duckdb      a run: FROM VISTA_RUNS() lists them""",
)
@click.argument("what", metavar="[RUN|MODEL]", required=False)
@database()
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where the page goes; default: <database>.vista/reports/.",
)
def COMMAND(what: str | None, db: Path | None, output: Path | None) -> None:
    """Write a report on a training or a run: one HTML file that needs nothing else.

    It shows the F1 of each layer beside the baselines, ROC and confusion, where the time went, the
    plan with its estimates, and where everything came from. The file's name goes to stdout. Needs
    the extra `report`.
    """
    if db is None:
        raise click.UsageError("name the database that the models and runs are in: --db FILE")
    if output is not None and not output.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {output.parent}", param_hint="-o")
    with read_only(db) as (session, held):
        click.echo(write(session, what, output, held))


def write(
    session: Session, what: str | None, output: Path | None, held: Held | None = None
) -> Path:
    """Write the page about a run or a model of a session's database; return the file.

    Args:
        session: on the database.
        what: the run or model; None: the newest.
        output: the file; None: in the database's folder.
        held: by whom the database is held, if it is: its pictures cannot be read then.
    """
    from vista_sql import report

    home = session.home(session.settings())
    comments = dict(
        session.con.execute(
            "SELECT table_name, comment FROM duckdb_tables() WHERE comment IS NOT NULL"
        ).fetchall()
    )
    page, name = report.render(home, what, comments, None if held else session.con)
    if output is None:
        output = Path(home) / FOLDER / name
    files.write(output, page)
    return output
