"""VISTA_READ_TFRECORD(files, …): the `tf.train.Example`s of TFRecord files as rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vista_sql.errors import ArgumentError, TFRecordError
from vista_sql.functions._training import flag
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.quoting import identifier, text_literal

if TYPE_CHECKING:
    from vista_sql.tfrecord.examples import Column


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT that reads the files in their order, some MB of records at a time.

    The head of the first file is read now, where the columns are not given. A recursive query asks
    for the records: each step has the place where the one before stopped.
    """
    from vista_sql.tfrecord import files

    call.checked()
    try:
        found = files.find(_patterns(call))
        columns = _declared(call) if call.get("columns") is not None else _inferred(call, found)
    except TFRecordError as error:
        raise call.error("files", str(error)) from error
    spec = {
        "files": found,
        "columns": [[column.name, column.type] for column in columns],
        "others_allowed": call.get("columns") is not None,
    }
    order = text_literal(json.dumps(spec, ensure_ascii=False))
    chunks, chunk, row = (identifier(planner.fresh_name(r)) for r in ("chunks", "chunk", "row"))
    shown = [*_values(columns, row), *_origin(call, columns, row)]
    return (
        f"WITH RECURSIVE {chunks} AS (SELECT vista_records({order}, NULL) AS {chunk} UNION ALL "
        f"SELECT vista_records({order}, {chunk}.next) FROM {chunks} "
        f"WHERE {chunk}.next IS NOT NULL) "
        f"SELECT {', '.join(shown)} FROM (SELECT {chunk}.filename AS filename, "
        f"unnest({chunk}.rows) AS {row} FROM {chunks})"
    )


def _patterns(call: Call) -> list[str]:
    given = call.get("files")
    patterns = [given] if isinstance(given, str) else given
    if not isinstance(patterns, list) or not all(isinstance(p, str) and p for p in patterns):
        raise call.error("files", f"files must be a file, a pattern, or a list of them: {given!r}")
    if not patterns:
        raise call.error("files", "files is an empty list; name at least one file")
    return patterns


def _declared(call: Call) -> tuple[Column, ...]:
    """Return the columns that `columns` declares, in its order."""
    from vista_sql.tfrecord import examples

    given: Any = call.get("columns")
    if isinstance(given, list) and all(isinstance(p, tuple) and len(p) == 2 for p in given):
        given = dict(given)  # a MAP, as Arrow has it
    if not isinstance(given, Mapping) or not given:
        raise call.error("columns", f"columns must be {{'name': 'TYPE', …}}, not {given!r}")
    columns = []
    for name, kind in given.items():
        column = examples.declared(str(name), str(kind))
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
        "there is no record with a feature to tell the columns by; give columns => {'name': "
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
    shown = []
    for column in columns:
        place = places[column.kind] = places.get(column.kind, 0) + 1
        value = f"{row}.{column.kind}[{place}]" + ("[1]" if column.is_scalar else "")
        shown.append(f"CAST({value} AS {column.type}) AS {identifier(column.name)}")
    return shown


def _origin(call: Call, columns: Sequence[Column], row: str) -> list[str]:
    """Return the columns that say where a row comes from, where they are asked for."""
    shown = []
    for name, value in (("filename", "filename"), ("file_row_number", f"{row}.record")):
        if flag(call, name):
            if name in (column.name.lower() for column in columns):
                raise ArgumentError(
                    f"the records have a feature {name!r}: leave {name} => true out",
                    call.places.get(name) or call.places.get(""),
                )
            shown.append(f"{value} AS {identifier(name)}")
    return shown


FUNCTION = TableFunction(
    "vista_read_tfrecord",
    (
        Argument("files", "a file, a pattern, or a list of them; paths or URIs", required=True),
        Argument("columns", "{'name': 'TYPE', …}; default: as the first 100 records have it"),
        Argument("filename", "add a column with the file", default=False),
        Argument("file_row_number", "add a column with the record's number, from 0", default=False),
    ),
    expand,
    "the records of TFRecord files",
)
