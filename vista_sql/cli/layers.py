"""`vista layers CNN`: every layer of a CNN."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from vista_sql.cli import _output
from vista_sql.cli._app import Command
from vista_sql.cli._statement import database, nothing_in_scope, opened

QUERY = """
SELECT layer, alias, index_from_top AS "index", is_feature_layer AS feature,
       array_to_string(shape, 'x') AS shape, pooled_dims, bytes_per_image AS bytes,
       gflops_cumulative AS gflops
FROM VISTA_LAYERS(cnn => {cnn})
"""


def _complete(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    from vista_sql import roster

    names = [name for name in roster.names() if name.startswith(begun)]
    return [CompletionItem(name) for name in names] or [CompletionItem(begun, type="file")]


@click.command(
    "layers",
    cls=Command,
    epilog="""Examples:

\b
  vista layers resnet50
  vista layers my_network.keras --format csv
  vista layers my_network.onnx
  vista layers model:tuned --db project.duckdb""",
)
@click.argument("cnn", metavar="CNN|FILE|model:NAME", shell_complete=_complete)
@database()
@_output.options
def COMMAND(cnn: str, db: Path | None, format_: str | None, output: Path | None, rows: int) -> None:
    """List the layers of a CNN, bottom to top.

    For each layer: the paper's name (alias), its number from the top, whether it is among the
    layers used by default (feature), its shape, how many columns it has after max2x2 pooling, the
    bytes of its raw map for one image, and the GFLOP to compute it from the image.
    """
    from vista_sql import weights
    from vista_sql.models import OWN
    from vista_sql.sql.quoting import text_literal

    target = _output.target(format_, output)
    if not cnn.startswith(OWN):
        weights.facts(cnn)  # a wrong name ends here, with the names that there are
    with opened(db) as session:
        query = QUERY.format(cnn=text_literal(cnn))
        result = session.query(query, scope=nothing_in_scope)
        _output.write(result, target, 0)()
