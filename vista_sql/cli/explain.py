"""`vista explain`: how a statement would run."""

from __future__ import annotations

from pathlib import Path

import click

from vista_sql.cli._app import Command
from vista_sql.cli._statement import database, planning, statement


@click.command(
    "explain",
    cls=Command,
    short_help="Show the plan of a statement, and why.",
    epilog="""Examples:

\b
  vista explain "SELECT fc6 FROM TRANSFER(cnn => 'lenet5', images => 'photos/')" --db my.duckdb
  vista explain --measure features.sql --db my.duckdb""",
)
@statement()
@database()
@click.option(
    "--measure",
    is_flag=True,
    help="Run the statement (a SELECT) once, with all its columns, and show where the time went.",
)
def COMMAND(sql: str, db: Path | None, measure: bool) -> None:
    """Show the plan of a statement and why it was chosen. Nothing is inferred without --measure."""
    with planning(db) as session:
        click.echo(session.explain(sql, measure=measure))
