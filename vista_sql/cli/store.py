"""`vista store`: what the feature store holds, and clearing it."""

from __future__ import annotations

from pathlib import Path

import click

from vista_sql.cli import _output
from vista_sql.cli._app import Command, Failure
from vista_sql.cli._statement import nothing_in_scope, opened

QUERY = """
SELECT cnn, weights[:16] AS weights, layer, pool, dtype, images, bytes FROM VISTA_STORE()
"""


@click.command(
    "store",
    cls=Command,
    epilog="""Examples:

\b
  vista store
  vista store clear --cnn resnet50
  VISTA_SQL_STORE=/data/features vista store""",
)
@click.argument("action", default="show", metavar="[clear]", type=click.Choice(["show", "clear"]))
@click.option("--cnn", help="Clear only the features of this CNN.")
@_output.options
def COMMAND(
    action: str, cnn: str | None, format_: str | None, output: Path | None, rows: int
) -> None:
    """Show what the feature store holds, by CNN, layer and pooling; or clear it.

    This is the store that VISTA_SQL_STORE names, or else your own in the cache folder. Its place,
    size and limit are shown too.
    """
    from vista_sql import store
    from vista_sql.settings import Settings
    from vista_sql.units import format_bytes

    if cnn is not None and action != "clear":
        raise click.UsageError("--cnn belongs to `vista store clear`")
    settings = Settings()
    limit = settings.value("store_limit").value
    choice = store.chosen(settings.value("store").value, limit)
    if not choice.folder:
        raise Failure("the feature store is off: VISTA_SQL_STORE=true, or a folder")
    features = store.Store(choice.folder, choice.limit_bytes)
    if action == "clear":
        n_entries = features.clear(cnn)
        click.echo(f"{n_entries:,} entries are gone from {choice.folder}", err=True)
        return
    target = _output.target(format_, output)
    with opened(None) as session:
        _output.write(session.query(QUERY, scope=nothing_in_scope), target, rows)()
    size, most = format_bytes(features.size_bytes()), format_bytes(features.limit_bytes())
    click.echo(f"{choice.folder}: {size}, the limit is {most}", err=True)
