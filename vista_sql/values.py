"""Rows in Arrow → DuckDB's own values: as a relation, as a box of text, as an HTML table.

Arrow has not all of DuckDB's types; the relation has the types that the statement gave.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from html import escape
from typing import TYPE_CHECKING, Any

from vista_sql import catalog, kernels
from vista_sql.sql.quoting import identifier, text_literal
from vista_sql.sql.types import differs_in_arrow
from vista_sql.units import format_bytes

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_PLAIN = re.compile(
    r"(BOOLEAN|U?(TINYINT|SMALLINT|INTEGER|BIGINT)|FLOAT|DOUBLE|VARCHAR|BLOB)(\[\d*\])?"
)

MOST_VALUES = 6  # of a list that is shown whole
FIRST_VALUES = 3  # of a longer one
MOST_LETTERS = 200  # of a cell of an HTML table
IMAGE_BYTES = 1 << 26  # of a BLOB that is looked at as an image

NULL = '<em style="opacity:.6">NULL</em>'
STYLE = "text-align:left;vertical-align:top;padding:.2em .6em"


@contextmanager
def relation(table: pa.Table, kinds: Sequence[str]) -> Iterator[duckdb.DuckDBPyRelation]:
    """Yield rows as a relation on a connection of its own.

    Args:
        table: rows as DuckDB gave them to Arrow; at least one column.
        kinds: the columns' DuckDB types.
    """
    import duckdb

    with duckdb.connect() as con:
        zone = next((found for field in table.schema for found in _zones(field.type)), None)
        if zone is not None:
            con.execute(f"SET TimeZone = {text_literal(zone)}")
        columns = [
            f"{f'CAST(#{place} AS {kind})' if differs_in_arrow(kind) else f'#{place}'} "
            f"AS {identifier(name)}"
            for place, (name, kind) in enumerate(zip(table.column_names, kinds, strict=True), 1)
        ]
        yield con.from_arrow(table).project(", ".join(columns))


def _zones(kind: pa.DataType) -> Iterator[str]:
    """Yield the time zones of what a type is made of."""
    if getattr(kind, "tz", None) is not None:
        yield kind.tz
    for place in range(kind.num_fields):
        yield from _zones(kind.field(place).type)


def rows(table: pa.Table, kinds: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return rows as DuckDB's own Python values, as a dict of a MAP and a timedelta of an INTERVAL.

    Args:
        table: rows as DuckDB gave them to Arrow.
        kinds: the columns' DuckDB types.
    """
    columns = [
        _python(table.column(place), kind) if _is_plain(kind) else None
        for place, kind in enumerate(kinds)
    ]
    others = [place for place, column in enumerate(columns) if column is None]
    if others and table.num_rows:
        with relation(table.select(others), [kinds[place] for place in others]) as rows:
            fetched = zip(*rows.fetchall(), strict=True)
        for place, column in zip(others, fetched, strict=True):
            columns[place] = column
    return list(zip(*(column or () for column in columns), strict=True))


def _is_plain(kind: str) -> bool:
    """Return whether Arrow gives the same Python values as DuckDB, without a connection.

    Example:
        >>> [_is_plain(kind) for kind in ("INTEGER", "FLOAT[84]", "DATE", "INTEGER[3][]")]
        [True, True, False, False]
    """
    return bool(_PLAIN.fullmatch(kind))


def _python(column: pa.ChunkedArray, kind: str) -> Sequence[Any]:
    values: list[Any] = column.to_pylist()
    if kind.endswith("]") and not kind.endswith("[]"):  # DuckDB gives an array as a tuple
        return [None if value is None else tuple(value) for value in values]
    return values


def box(table: pa.Table, kinds: Sequence[str], width: int | None = None) -> str:
    """Return all rows in DuckDB's box, long lists cut.

    Args:
        table: rows as DuckDB gave them to Arrow; at least one column.
        kinds: the columns' DuckDB types.
        width: characters of a line; None: as DuckDB finds it.
    """
    import pyarrow as pa

    kinds = list(kinds)
    cut: dict[int, str] = {}
    for place, kind in enumerate(kinds):
        if _has_long_lists(table.column(place)):
            texts = [None if v is None else text_of(v) for v in table.column(place).to_pylist()]
            name = table.column_names[place]
            table = table.set_column(place, name, pa.array(texts, pa.string()))
            kinds[place], cut[place] = "VARCHAR", kind.lower()
    text = io.StringIO()
    with relation(table, kinds) as rows, redirect_stdout(text):  # DuckDB prints, returns no text
        rows.show(max_rows=max(table.num_rows, 1), max_width=width)
    return _with_types(text.getvalue(), cut, len(kinds)).removesuffix("\n")


def _with_types(text: str, cut: dict[int, str], n_columns: int) -> str:
    """Return a box whose columns that were cut have the types that they had."""
    lines = text.splitlines(keepends=True)
    cells = lines[2].rstrip("\n")[1:-1].split("│") if len(lines) > 2 else []
    if len(cells) != n_columns:  # some are left out: it cannot be told which
        return text
    for place, kind in cut.items():
        if len(kind) <= len(cells[place]):
            cells[place] = kind.center(len(cells[place]))
    lines[2] = f"│{'│'.join(cells)}│\n"
    return "".join(lines)


def html(table: pa.Table, kinds: Sequence[str], note: str) -> str:
    """Return rows as an HTML table: images as thumbnails, long lists and texts cut.

    Args:
        table: rows as DuckDB gave them to Arrow.
        kinds: the columns' DuckDB types.
        note: what stands below.
    """
    below = f'<p style="margin:.3em 0;opacity:.7">{escape(note)}</p>'
    if not table.num_columns:
        return below
    head = "".join(
        f'<th style="{STYLE}">{escape(name)}<br><small style="font-weight:normal;opacity:.7">'
        f"{escape(_cut(kind, 40))}</small></th>"
        for name, kind in zip(table.column_names, kinds, strict=True)
    )
    columns = [_cells(table, place, kind) for place, kind in enumerate(kinds)]
    body = "".join(
        f"<tr>{''.join(f'<td style={STYLE!r}>{cell}</td>' for cell in row)}</tr>"
        for row in zip(*columns, strict=True)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"


def _cells(table: pa.Table, place: int, kind: str) -> list[str]:
    """Return the cells of a column as HTML."""
    column = table.column(place)
    if kind == "BLOB":
        return [NULL if v is None else _blob(v) for v in column.to_pylist()]
    if _has_long_lists(column):
        texts = [None if v is None else text_of(v) for v in column.to_pylist()]
    else:
        with relation(table.select([place]), [kind]) as rows:
            texts = [v for (v,) in rows.project("CAST(#1 AS VARCHAR)").fetchall()]
    return [NULL if v is None else escape(_cut(v, MOST_LETTERS)) for v in texts]


def _blob(data: bytes) -> str:
    """Return a BLOB's cell: a thumbnail where it is an image, else how large it is."""
    size = format_bytes(len(data))
    thumbnails = catalog.module(kernels.PACKAGE, "images.thumbnails")
    uri = thumbnails.data_uri(data) if len(data) <= IMAGE_BYTES else None
    if uri is None:
        return f"BLOB, {escape(size)}"
    limits = "max-width:96px;max-height:96px"
    return f'<img src="{uri}" alt="image, {escape(size)}" style="{limits}">'


def _has_long_lists(column: pa.ChunkedArray) -> bool:
    """Return whether a column's values are lists, of which some are long."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        return bool(kind.list_size > MOST_VALUES)
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    return (pc.max(pc.list_value_length(column)).as_py() or 0) > MOST_VALUES


def text_of(value: Any) -> str:
    """Return a value as people read it: of a long list its first values and how many there are.

    Example:
        >>> text_of([0.123456789, -2.0] + [0.5] * 2046)
        '[0.1235, -2, 0.5, … 2048 numbers]'
        >>> text_of([[1.5, None]] * 14)
        '[[1.5, NULL], [1.5, NULL], [1.5, NULL], … 14 lists]'
    """
    if isinstance(value, list):
        is_long = len(value) > MOST_VALUES
        shown = [text_of(one) for one in (value[:FIRST_VALUES] if is_long else value)]
        if is_long:
            first = next((one for one in value if one is not None), None)
            are_numbers = isinstance(first, (int, float)) and not isinstance(first, bool)
            noun = "numbers" if are_numbers else "lists" if isinstance(first, list) else "values"
            shown.append(f"… {len(value)} {noun}")
        return f"[{', '.join(shown)}]"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "NULL" if value is None else _cut(str(value), MOST_LETTERS)


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
