"""`vista models`: the kept models of a database: list, show, drop."""

from __future__ import annotations

from pathlib import Path

import click

from vista_sql.cli import _output
from vista_sql.cli._app import Command
from vista_sql.cli._statement import database, nothing_in_scope, read_only
from vista_sql.sql.quoting import text_literal

LIST = """
SELECT model, feature_set, label, trainer, n_train, n_test, round(coalesce(f1_score, r2), 3) AS
  "f1_score or r2", is_best, created FROM VISTA_MODELS()
"""


@click.command(
    "models",
    cls=Command,
    short_help="List, show and drop kept models.",
    epilog="""Examples:

\b
  vista models --db my.duckdb
  vista models show healthy/avg_pool@3 --db my.duckdb --format json
  vista models drop healthy@2 --db my.duckdb       one version
  vista models drop healthy --db my.duckdb         all versions""",
)
@click.argument(
    "action",
    default="list",
    metavar="[list|show|drop]",
    type=click.Choice(["list", "show", "drop"]),
)
@click.argument("model", metavar="[MODEL]", required=False)
@database()
@_output.options
def COMMAND(
    action: str,
    model: str | None,
    db: Path | None,
    format_: str | None,
    output: Path | None,
    rows: int,
) -> None:
    """List the kept models of a database, newest version first; show all of one; or drop some.

    A MODEL is named as in SQL: name, name@version, name/layer@version. Dropping one is for good.
    """
    from vista_sql import models

    if db is None:
        raise click.UsageError("name the database that the models are in: --db FILE")
    if (action == "list") != (model is None):
        wanted = "no MODEL" if action == "list" else "a MODEL: vista models lists them"
        raise click.UsageError(f"`vista models {action}` takes {wanted}")
    with read_only(db) as (session, _):  # what the file itself holds is not needed
        home = session.home(session.settings())
        if action == "drop" and model is not None:
            click.echo(f"gone: {', '.join(models.drop(home, model))}", err=True)
            return
        statement = LIST
        if model is not None:
            reference = text_literal(models.find(home, model).reference)
            statement = f"SELECT * FROM VISTA_MODELS() WHERE model = {reference}"
        target = _output.target(format_, output)
        _output.write(session.query(statement, scope=nothing_in_scope), target, rows)()
