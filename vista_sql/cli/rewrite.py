"""`vista rewrite`: the staged SQL of a statement."""

from __future__ import annotations

from pathlib import Path

import click

from vista_sql.cli._app import Command
from vista_sql.cli._statement import database, planning, statement


@click.command(
    "rewrite",
    cls=Command,
    short_help="Print the SQL that a statement becomes.",
    epilog="""Example:

\b
  vista rewrite by_layer.sql --db my.duckdb""",
)
@statement()
@database()
def COMMAND(sql: str, db: Path | None) -> None:
    """Print the SQL that a statement becomes: what DuckDB runs, and the calls that infer."""
    with planning(db) as session:
        click.echo(session.rewrite(sql))
