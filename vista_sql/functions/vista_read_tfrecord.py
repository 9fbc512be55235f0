"""VISTA_READ_TFRECORD(files, …): the `tf.train.Example`s of TFRecord files as rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from vista_sql.errors import TFRecordError
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import Flag, Names, wrong
from vista_sql.sql.quoting import identifier, text_literal

if TYPE_CHECKING:
    from vista_sql.tfrecord.examples import Column


class ColumnTypes(Struct, frozen=True):
    """Columns and their types, read as a mapping of str to str."""

    words: str = "{'name': 'TYPE', …}"

    def read(self, name: str, value: object) -> dict[str, str]:
        """Return the columns in their order; DuckDB's MAPs come as pairs."""
        match value:
            case Mapping():
                types = list(value.items())
            case list() if all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
                types = value
            case _:
                types = []
        if not types:
            raise wrong(name, self.words, value)
        return {str(column): str(kind) for column, kind in types}


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT that reads the files in their order, some MB of records at a time.

    The head of the first file is read now, where the columns are not given. A recursive query asks
    for the records: each step has the place where the one before stopped.
    """
    from vista_sql.tfrecord import files

    declared = call.get("columns")
    patterns = call.get("files")
    if not patterns:
        raise call.error("files", "files is an empty list; name at least one file")
    try:
        paths = files.find(patterns)
        columns = _inferred(call, paths) if declared is None else _declared(call, declared)
    except TFRecordError as error:
        raise call.error("files", str(error)) from error
    spec = {
        "files": paths,
        "columns": [[column.name, column.type] for column in columns],
        "others_allowed": declared is not None,
    }
    order = text_literal(json.dumps(spec, ensure_ascii=False))
    chunks, chunk, row = (identifier(planner.fresh_name(r)) for r in ("chunks", "chunk", "row"))
    selected = [*_values(columns, row), *_origin(call, columns, row)]
    return (
        f"WITH RECURSIVE {chunks} AS (SELECT vista_records({order}, NULL) AS {chunk} UNION ALL "
        f"SELECT vista_records({order}, {chunk}.next) FROM {chunks} "
        f"WHERE {chunk}.next IS NOT NULL) "
        f"SELECT {', '.join(selected)} FROM (SELECT {chunk}.filename AS filename, "
        f"unnest({chunk}.rows) AS {row} FROM {chunks})"
    )


def _declared(call: Call, declared: Mapping[str, str]) -> tuple[Column, ...]:
    """Return the columns that the argument `columns` declares, in its order."""
    from vista_sql.tfrecord import examples

    columns = []
    for name, kind in declared.items():
        column = examples.declared(name, kind)
        if column is None:
            raise call.error(
                "columns",
                f"columns: {name!r} cannot be {kind!r}; a feature is one of "
                f"{', '.join(examples.TYPES)}, or a list of them, as in BIGINT[]",
            )
        columns.append(column)
    return _distinct(call, tuple(columns))


def _inferred(call: Call, files: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of the first file that has any."""
    from vista_sql.tfrecord import examples, records

    for name in files:
        with records.opened(name) as stream:
            columns = examples.infer(examples.sample(records.read(stream)), name)
        if columns:
            return _distinct(call, columns)
    raise call.error(
        "files",
        "no record has a feature from which the columns could be found; give columns => {'name': "
        "'TYPE', …}",
    )


def _distinct(call: Call, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    seen: dict[str, str] = {}
    for column in columns:
        other = seen.setdefault(column.name.lower(), column.name)
        if other != column.name:
            raise call.error(
                "columns",
                f"features {other!r} and {column.name!r} differ in case only, which columns "
                "cannot; give columns => {…} with one of them",
            )
    return columns


def _values(columns: Sequence[Column], row: str) -> list[str]:
    """Return the columns out of the kinds that the kernel returns them by."""
    places: dict[str, int] = {}
    values = []
    for column in columns:
        place = places[column.kind] = places.get(column.kind, 0) + 1
        value = f"{row}.{column.kind}[{place}]" + ("[1]" if column.is_scalar else "")
        values.append(f"CAST({value} AS {column.type}) AS {identifier(column.name)}")
    return values


def _origin(call: Call, columns: Sequence[Column], row: str) -> list[str]:
    """Return the columns that say where a row comes from, where they are asked for."""
    values = []
    for name, value in (("filename", "filename"), ("file_row_number", f"{row}.record")):
        if call.get(name):
            if name in (column.name.lower() for column in columns):
                raise call.error(
                    name, f"the records have a feature {name!r}: leave {name} => true out"
                )
            values.append(f"{value} AS {identifier(name)}")
    return values


FUNCTION = TableFunction(
    "vista_read_tfrecord",
    (
        Argument(
            "files",
            "paths or URIs of the files",
            Names("a file, a pattern, or a list of them"),
            required=True,
        ),
        Argument("columns", "default: as the first 100 records have it", ColumnTypes()),
        Argument("filename", "add a column with the file", Flag(), False),
        Argument("file_row_number", "add a column with the record's number, from 0", Flag(), False),
    ),
    expand,
    "the records of TFRecord files",
)
