"""`vista weights`: which weights are here, where they come from; `add` puts a file in its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vista_sql.cli import _output
from vista_sql.cli._app import Command

if TYPE_CHECKING:
    from vista_sql.weights import KnownFile

SHOWN_DIGITS = 12  # of a checksum, in a table


@click.command(
    "weights",
    cls=Command,
    short_help="List the weights that are here; add a file.",
    epilog="""Examples:

\b
  vista weights                                   what is here, checked
  vista weights --format csv                      with whole checksums, places and sources
  vista weights add vgg16_weights_tf_dim_ordering_tf_kernels.h5""",
)
@click.argument("words", metavar="[add FILE…]", nargs=-1)
@_output.options
def COMMAND(words: tuple[str, ...], format_: str | None, output: Path | None, rows: int) -> None:
    """List the weights that CNNs can have: which are on this machine, their checksums and sources.

    `vista weights add FILE…` is for machines without a network: it recognizes a file that you have
    downloaded elsewhere by its checksum, and copies it to the folder where weights are looked for.
    """
    from vista_sql import weights

    target = _output.target(format_, output)
    if not words:
        _list(weights.known_files(), target)
        return
    if words[0] != "add" or len(words) < 2:
        raise click.UsageError("write `vista weights`, or `vista weights add FILE…`")
    for name in words[1:]:
        if not Path(name).is_file():
            raise click.BadParameter(f"there is no file {name}")
    for name in words[1:]:
        added = weights.add(Path(name))
        click.echo(f"{added.cnn}, {added.name!r}: {added.path}")


def _list(files: tuple[KnownFile, ...], target: _output.Target) -> None:
    import pyarrow as pa

    from vista_sql.result import Result

    rows = [{"cnn": file.cnn, "weights": file.name, "state": file.state()} for file in files]
    for row, file in zip(rows, files, strict=True):
        if target.is_table:
            kind, digits = file.checksum.split()
            row |= {"checksum": f"{kind} {digits[:SHOWN_DIGITS]}…", "file": file.file.file}
        else:
            row |= {"checksum": file.checksum, "path": str(file.path), "url": file.file.url}
    table = pa.Table.from_pylist(rows)
    columns = [(name, "VARCHAR") for name in table.column_names]
    _output.write(Result(columns, lambda _: iter(table.to_batches()), table.schema), target, 0)()
    absent = next((file for file in files if not file.path.is_file()), None)
    if target.is_table and target.path is None and absent is not None:
        places = f"when first used, or put into {absent.path.parent} by `vista weights add`"
        click.echo(f"vista: weights that are not here are downloaded {places}", err=True)
