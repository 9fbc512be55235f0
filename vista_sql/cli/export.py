"""`vista export`: run statements and write the rows of the last one as TFRecord files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vista_sql.cli._app import Command, Failure
from vista_sql.cli._statement import (
    database,
    nothing_in_scope,
    opened,
    statement,
    tell_of_unreadable,
)
from vista_sql.progress import bar
from vista_sql.units import format_bytes

if TYPE_CHECKING:
    from vista_sql.tfrecord.files import Compression


@click.command(
    "export",
    cls=Command,
    short_help="Run SQL and write the rows as TFRecord files.",
    epilog="""Examples:

\b
  vista export "FROM TRANSFER(cnn => 'lenet5', images => 'photos/')" --db my.duckdb -o f.tfrecord
  vista export features.sql --db my.duckdb -o f.tfrecord --compression gzip --shards 4

A row becomes a tf.train.Example. Read them with VISTA_READ_TFRECORD('f*.tfrecord'), or with
TensorFlow. Parquet, CSV, JSON and Arrow: vista query -o.""",
)
@statement()
@database()
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="The file to write; it appears when it is complete.",
)
@click.option(
    "--compression",
    type=click.Choice(("none", "gzip", "zlib"), case_sensitive=False),
    default="none",
    show_default=True,
    help="Compress the whole file, as TensorFlow does.",
)
@click.option(
    "--shards",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="Write N files, f-00000-of-00004.tfrecord …, with the rows in turn.",
)
def COMMAND(sql: str, db: Path | None, output: Path, compression: Compression, shards: int) -> None:
    """Run SQL, from the command line, a FILE or stdin, and write its rows to TFRecord files."""
    from vista_sql.sql import parse
    from vista_sql.tfrecord.writing import Writer

    if not output.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {output.parent}", param_hint="-o")
    began = datetime.now(UTC).isoformat(timespec="milliseconds")
    with opened(db, sql) as session:
        with bar() as progress:
            result = session.query(sql, progress=progress, scope=nothing_in_scope)
            no_rows = result.columns in ([], ["Success"], ["Count"])
            if no_rows and parse.parse(sql)[-1].kind != "select":  # CREATE, SET, …
                raise Failure(f"the last statement has no rows to write into {output}")
            reader = result.reader()
            writer = Writer(str(output), compression, shards)
            try:
                for batch in reader:
                    writer.write(batch)
                written = writer.finish()
            finally:
                writer.close()
        for file in written:
            click.echo(f"{file.file}: {file.rows:,} rows, {format_bytes(file.bytes)}", err=True)
        tell_of_unreadable(session, began)
