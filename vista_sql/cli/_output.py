"""Rows → stdout or a file: DuckDB's box for people; csv, json, parquet, arrow for programs."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
from msgspec import Struct

from vista_sql import files
from vista_sql.cli._app import Failure

if TYPE_CHECKING:
    import pyarrow as pa

    from vista_sql.result import Result

FORMATS = ("table", "csv", "json", "parquet", "arrow")
TEXT_FORMATS = ("table", "csv", "json")
DEFAULT_ROWS = 50
LEAST_WIDTH, COLUMN_WIDTH = 120, 40
"""Characters of a line, and of each column, where no terminal says how wide a table may be."""

ASCII = str.maketrans("┌┬┐├┼┤└┴┘│─…", "+++++++++|-.")
"""For terminals that know no other frame."""

_NOT_FINITE = re.compile(r'(?P<string>"(?:[^"\\]|\\.)*")|-?(?:NaN|Infinity)')
"""Of DuckDB's JSON: a string, which stays, or a number that JSON has not."""


class Target(Struct, frozen=True):
    """Where rows go, and in what form; `path` None is stdout."""

    format: str
    path: Path | None

    @property
    def is_table(self) -> bool:
        """Whether the form is one for people, of some rows only."""
        return self.format == "table"

    @property
    def is_text(self) -> bool:
        """Whether a terminal can show it."""
        return self.format in TEXT_FORMATS


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options --format, -o and --rows."""
    for option in (
        click.option(
            "--rows",
            type=click.IntRange(min=0),
            default=DEFAULT_ROWS,
            show_default=True,
            metavar="N",
            help="Show at most N rows of a table; 0: all.",
        ),
        click.option(
            "-o",
            "--output",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write to FILE; its ending decides the format.",
        ),
        click.option(
            "--format",
            "format_",
            type=click.Choice(FORMATS, case_sensitive=False),
            help="Default: table. arrow is an IPC stream on stdout, an IPC file with -o.",
        ),
    ):
        command = option(command)
    return command


def target(format_: str | None, path: Path | None) -> Target:
    """Return where rows go; wrong combinations end here, before anything runs.

    Raises:
        click.BadParameter: the place cannot take the format, or cannot be.
    """
    if path is not None:
        if not path.absolute().parent.is_dir():
            raise click.BadParameter(f"there is no folder {path.parent}", param_hint="-o")
        ending = path.suffix.lower().lstrip(".")
        if format_ is None and ending not in (*FORMATS, "", "txt"):
            raise click.BadParameter(
                f"{path.name} does not end in .{', .'.join(FORMATS[1:])} or .txt: give --format",
                param_hint="-o",
            )
        return Target(format_ or (ending if ending in FORMATS else "table"), path)
    chosen = Target(format_ or "table", None)
    if not chosen.is_text and sys.stdout.isatty():
        raise click.BadParameter(
            f"{chosen.format} cannot be shown in a terminal: add -o FILE, or pipe it to a program",
            param_hint="--format",
        )
    return chosen


def write(result: Result, target: Target, rows: int) -> Callable[[], None]:
    """Run a statement and write its rows.

    Args:
        result: the statement, bound.
        target: where the rows go.
        rows: most rows of a table; 0: all.

    Returns:
        What remains to be done once nothing else writes to the terminal.
    """
    if result.columns in ([], ["Success"], ["Count"]) and not len(result):  # CREATE, SET, …
        if target.path is not None:
            raise Failure(f"the last statement has no rows to write into {target.path}")
        return lambda: None
    if target.is_table:
        limit = rows if target.path is None else 0
        table, more = _first_rows(result, limit)
        in_terminal = target.path is None and sys.stdout.isatty()
        text = _box(table, result.types, in_terminal=in_terminal)

        def show() -> None:
            with _sink(target.path) as stream:
                stream.write(_encoded(text, target.path))
            if more:
                click.echo(
                    f"vista: the first {limit} rows; --rows 0 shows all, -o FILE writes them",
                    err=True,
                )

        return show
    reader = result.reader()
    with _sink(target.path) as stream:
        _WRITERS[target.format](reader, result.types, stream, target.path is not None)
    return lambda: None


def show(result: Result, without: str) -> None:
    """Write all rows to stdout, as people read them, without one of their columns."""
    kinds = {n: kind for n, kind in zip(result.columns, result.types, strict=True) if n != without}
    text = _box(
        result.arrow().select(list(kinds)), list(kinds.values()), in_terminal=sys.stdout.isatty()
    )
    with _sink(None) as stream:
        stream.write(_encoded(text, None))


def _first_rows(result: Result, limit: int) -> tuple[pa.Table, bool]:
    """Run a statement until `limit` rows (0: all) are there.

    Returns:
        (the rows, whether there are more).
    """
    import pyarrow as pa

    reader = result.reader()
    batches, n_rows = [], 0
    for batch in reader:
        batches.append(batch)
        n_rows += batch.num_rows
        if limit and n_rows > limit:
            break
    table = pa.Table.from_batches(batches, reader.schema)
    reader.close()
    return (table.slice(0, limit), True) if limit and n_rows > limit else (table, False)


def _box(table: pa.Table, kinds: Sequence[str], *, in_terminal: bool) -> str:
    """Return all rows of a table in DuckDB's box, as `Result.show` prints it.

    Values are cut to fit; in a terminal columns in the middle go where there are too many.
    """
    from vista_sql import values

    width = max(LEAST_WIDTH, COLUMN_WIDTH * table.num_columns)
    if in_terminal:
        width = shutil.get_terminal_size().columns
    return values.box(table, kinds, width)


def _encoded(text: str, path: Path | None) -> bytes:
    """Return a text as a file, or this stdout, takes it."""
    encoding = "utf-8" if path is not None else sys.stdout.encoding or "utf-8"
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(ASCII).encode(encoding, "replace")


@contextmanager
def _sink(path: Path | None) -> Iterator[BinaryIO]:
    """Yield stdout, or a file that has its name only when it is whole."""
    if path is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with files.whole(path) as stream:
        yield stream


def _csv(
    reader: pa.RecordBatchReader, kinds: Sequence[str], stream: BinaryIO, is_file: bool
) -> None:
    """Write a header and a line a row, as DuckDB prints values; NULL is empty."""
    _write_csv(stream, [reader.schema.names])
    texts = ", ".join(f"CAST(#{place} AS VARCHAR)" for place in range(1, len(kinds) + 1))
    for rows in _projected(reader, kinds, texts):
        _write_csv(stream, rows)


def _write_csv(stream: BinaryIO, rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    stream.write(text.getvalue().encode())
    stream.flush()


def _json(
    reader: pa.RecordBatchReader, kinds: Sequence[str], stream: BinaryIO, is_file: bool
) -> None:
    """Write an array of one object a row, each on its line; what is not a number is null."""
    keys = [json.dumps(name, ensure_ascii=False) for name in reader.schema.names]
    texts = ", ".join(f"CAST(to_json(#{place}) AS VARCHAR)" for place in range(1, len(kinds) + 1))
    separator = b"[\n"
    for rows in _projected(reader, kinds, texts):
        objects = (
            ",".join(f"{key}:{_finite(text)}" for key, text in zip(keys, row, strict=True))
            for row in rows
        )
        stream.write(separator + ",\n".join(f"{{{text}}}" for text in objects).encode())
        stream.flush()
        separator = b",\n"
    stream.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def _finite(text: str | None) -> str:
    r"""Return DuckDB's JSON as JSON: null for what is no number, wherever it stands.

    Example:
        >>> _finite('{"a":[NaN,-Infinity,1.5],"b":"NaN \\" Infinity"}')
        '{"a":[null,null,1.5],"b":"NaN \\" Infinity"}'
    """
    if text is None:
        return "null"
    if "NaN" not in text and "Infinity" not in text:
        return text
    return _NOT_FINITE.sub(lambda found: found["string"] or "null", text)


def _projected(
    reader: pa.RecordBatchReader, kinds: Sequence[str], expressions: str
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield what expressions give of each batch: DuckDB knows best how its values are written."""
    import pyarrow as pa

    from vista_sql import values

    for batch in reader:
        if batch.num_rows:
            with values.relation(pa.Table.from_batches([batch]), kinds) as rows:
                yield rows.project(expressions).fetchall()


def _parquet(
    reader: pa.RecordBatchReader, kinds: Sequence[str], stream: BinaryIO, is_file: bool
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    from vista_sql.sql.quoting import identifier
    from vista_sql.sql.types import made_of, rebuilt

    for name, kind in zip(reader.schema.names, kinds, strict=True):
        if made_of(kind) & {"INTERVAL", "STRUCT"} or "UNION(" in rebuilt(kind, lambda _: ""):
            raise Failure(
                f"column {name!r} is {kind}, which pyarrow's Parquet files cannot hold: select "
                f"CAST({identifier(name)} AS VARCHAR), or write --format arrow"
            )
    fixed = [i for i, kind in enumerate(reader.schema.types) if pa.types.is_fixed_size_list(kind)]
    schema = reader.schema
    for i in fixed:
        item = schema.field(i)
        schema = schema.set(i, item.with_type(pa.list_(item.type.value_type)))
    with parquet.ParquetWriter(stream, schema) as writer:
        for batch in reader:
            columns = [_as_lists(c) if i in fixed else c for i, c in enumerate(batch.columns)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _as_lists(column: pa.FixedSizeListArray) -> pa.ListArray:
    """Return lists of any size: pyarrow before 26 reads no NULL among those of a fixed one."""
    import pyarrow as pa

    size = column.type.list_size
    ends = accumulate((size * there for there in column.is_valid().to_pylist()), initial=0)
    offsets = pa.array(ends, pa.int32())
    return pa.ListArray.from_arrays(
        offsets, column.flatten(), type=pa.list_(column.type.value_type), mask=column.is_null()
    )


def _arrow(
    reader: pa.RecordBatchReader, kinds: Sequence[str], stream: BinaryIO, is_file: bool
) -> None:
    import pyarrow as pa

    make = pa.ipc.new_file if is_file else pa.ipc.new_stream
    with make(stream, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


_WRITERS: dict[str, Callable[[pa.RecordBatchReader, Sequence[str], BinaryIO, bool], None]] = {
    "csv": _csv,
    "json": _json,
    "parquet": _parquet,
    "arrow": _arrow,
}
