"""`vista cnns`: the roster."""

from __future__ import annotations

from pathlib import Path

import click

from vista_sql.cli import _output
from vista_sql.cli._app import Command
from vista_sql.cli._statement import nothing_in_scope, opened

QUERY = "SELECT cnn, title, parameters, input, weights, layers FROM VISTA_CNNS()"


@click.command(
    "cnns",
    cls=Command,
    short_help="List the CNNs and the weights that are here.",
    epilog="""Examples:

\b
  vista cnns
  vista cnns --format json | jq '.[] | select(.parameters < 1e7) | .cnn'""",
)
@_output.options
def COMMAND(format_: str | None, output: Path | None, rows: int) -> None:
    """List the CNNs: size, input, the weights that are here, the layers offered as features."""
    target = _output.target(format_, output)
    with opened(None) as session:
        _output.write(session.query(QUERY, scope=nothing_in_scope), target, rows)()
