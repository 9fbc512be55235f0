"""The first rows of a result as a table that fits the terminal."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

    from vista_sql.result import Result

SHOWN_VALUES = 3  # of a list of numbers: enough to see that it is one
SMALLEST_FIXED, LARGEST_FIXED = 1e-3, 1e5  # numbers between them are shown with four decimals
_VERY_WIDE = 100_000  # characters; where no terminal cuts lines, neither do we


def terminal_width() -> int | None:
    """Return how many characters a line of stdout has; None where it is no terminal."""
    if not sys.stdout.isatty():
        return None
    from rich.console import Console

    return Console().width


def first_rows(result: Result, limit: int) -> tuple[pa.Table, bool]:
    """Run a statement until `limit` rows (0: all) are there.

    Returns:
        (the rows, whether there are more).
    """
    import pyarrow as pa

    reader = result.reader()
    kept, n_rows = [], 0
    for batch in reader:
        kept.append(batch)
        n_rows += batch.num_rows
        if limit and n_rows > limit:
            break
    table = pa.Table.from_batches(kept, reader.schema)
    reader.close()
    return (table.slice(0, limit), True) if limit and n_rows > limit else (table, False)


def render(rows: pa.Table, types: list[str], width: int | None) -> str:
    """Return rows as a table; as one block a row where the columns do not fit beside each other.

    Args:
        rows: all of them are shown.
        types: the columns' DuckDB types.
        width: of the terminal; None: as wide as need be.
    """
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    console = Console(
        file=out,
        width=width or _VERY_WIDE,
        force_terminal=width is not None,
        no_color=True if "NO_COLOR" in os.environ else None,
        legacy_windows=False,
    )
    ascii_only = not (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    line = box.ASCII if ascii_only else box.SIMPLE_HEAD
    table = Table(
        box=line, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for field in rows.schema:
        right = _is_number(field.type)
        table.add_column(Text(field.name), justify="right" if right else "left", overflow="fold")
    for row in _cells(rows):
        table.add_row(*map(Text, row))
    unbounded = console.options.update_width(_VERY_WIDE)
    if Measurement.get(console, unbounded, table).minimum <= console.width:
        console.print(table)
    else:
        for number, row in enumerate(_cells(rows), 1):
            console.print(Text(f"row {number}", "bold"))
            console.print(_block(rows.column_names, row))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _block(names: list[str], row: list[str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    block = Table.grid(padding=(0, 2))
    block.add_column()
    block.add_column(overflow="fold")
    for name, value in zip(names, row, strict=True):
        block.add_row(Text(f"  {name}"), Text(value))
    return block


def _cells(rows: pa.Table) -> Iterator[list[str]]:
    columns = [_column(column.to_pylist()) for column in rows.columns]
    return map(list, zip(*columns, strict=True))


def _column(values: list[Any]) -> list[str]:
    """Return a column's cells; numbers of one magnitude have as many decimals each."""
    there = [value for value in values if value is not None]
    sizes = [abs(value) for value in there if isinstance(value, float) and value]
    fixed = (
        sizes
        and all(isinstance(value, float) for value in there)
        and all(SMALLEST_FIXED <= size < LARGEST_FIXED for size in sizes)
        and not all(size.is_integer() for size in sizes)
    )
    return [f"{value:.4f}" if fixed and value is not None else text(value) for value in values]


def text(value: Any) -> str:
    """Return a value as a cell shows it.

    Example:
        >>> text([0.25, 1.0, 2.0, 3.0, 4.0]), text(None), text(b"abc"), text(0.1 + 0.2)
        ('[0.25, 1, 2, … 5 values]', 'NULL', '3 bytes', '0.3')
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.6g}"
        case bytes():
            return f"{len(value):,} bytes"
        case [tuple(), *_]:  # a map, as Arrow has it
            return f"{{{', '.join(f'{text(k)}: {text(v)}' for k, v in value)}}}"
        case list():
            cut = len(value) > SHOWN_VALUES + 1 and isinstance(value[0], float)
            shown = [text(one) for one in (value[:SHOWN_VALUES] if cut else value)]
            return f"[{', '.join([*shown, f'… {len(value):,} values'] if cut else shown)}]"
        case dict():
            return f"{{{', '.join(f'{k}: {text(v)}' for k, v in value.items())}}}"
        case _:
            return str(value)


def is_list(kind: pa.DataType) -> bool:
    """Return whether an Arrow type is one of its list types."""
    import pyarrow as pa

    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_one(kind) for is_one in lists)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return any(
        is_one(kind) for is_one in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    )
