"""`vista export-model`: a kept model as one ONNX file."""

from __future__ import annotations

import warnings
from pathlib import Path

import click

from vista_sql.cli._app import Command
from vista_sql.cli._statement import database, read_only
from vista_sql.errors import EngineWarning
from vista_sql.units import format_bytes


@click.command(
    "export-model",
    cls=Command,
    short_help="Write a kept model as one ONNX file.",
    epilog="""Examples:

\b
  vista export-model healthy --db my.duckdb -o healthy.onnx
  vista export-model healthy/avg_pool@3 --db my.duckdb -o healthy.onnx

It takes pixels, uint8 (rows, height, width, channels) in RGB, and an array (rows,) for each column
that the model uses, NaN for NULL; it gives predicted_label, probability and probabilities, or the
value of a number. Its metadata say the rest. It needs the extra openvino.""",
)
@click.argument("model")
@database()
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="The file to write; it appears when it is complete.",
)
def COMMAND(model: str, db: Path | None, output: Path) -> None:
    """Write a kept model, with the network below it, into one file that ONNX Runtime runs.

    A MODEL is named as in SQL: name, name@version, name/layer@version.
    """
    if not output.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {output.parent}", param_hint="-o")
    with read_only(db) as (session, _):  # what the file itself holds is not needed
        if db is None and session.settings().value("home").value is None:
            raise click.UsageError("name the database that the model is in: --db FILE")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", EngineWarning)
            said = session.export_model(model, output)
    for one in told:
        click.echo(f"vista: {one.message}", err=True)
    size = format_bytes(output.stat().st_size)
    click.echo(f"{output}: model {said['model']}, {size}", err=True)
