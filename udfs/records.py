"""vista_records(spec, at): the next records of TFRecord files, by their kinds of values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pyarrow as pa

from vista_sql.kernels import Kernel
from vista_sql.tfrecord import examples
from vista_sql.tfrecord import records as tfrecords
from vista_sql.tfrecord.examples import Column, Kind
from vista_sql.tfrecord.files import Positions

from .passes.arrow import Column as ArrowColumn
from .passes.runtime import Runtime

CHUNK_BYTES = 8 << 20  # of records in one call, but for the last of them
CHUNK_RECORDS = 2048

_PLACE = pa.struct([("file", pa.int32()), ("offset", pa.int64()), ("record", pa.int64())])
_VALUES: Mapping[Kind, pa.DataType] = {
    "ints": pa.int64(),
    "floats": pa.float32(),
    "bytes": pa.large_binary(),
    "texts": pa.large_string(),
}
_ROW = pa.struct(
    [
        ("record", pa.int64()),
        *((kind, pa.large_list(pa.large_list(value))) for kind, value in _VALUES.items()),
    ]
)
ARROW_TYPE = pa.struct([("next", _PLACE), ("filename", pa.string()), ("rows", pa.large_list(_ROW))])

PLACE_TYPE = 'STRUCT("file" INTEGER, "offset" BIGINT, "record" BIGINT)'
SQL_TYPE = (
    f'STRUCT("next" {PLACE_TYPE}, "filename" VARCHAR, "rows" STRUCT("record" BIGINT, '
    '"ints" BIGINT[][], "floats" FLOAT[][], "bytes" BLOB[][], "texts" VARCHAR[][])[])'
)


def read(runtime: Runtime, spec: ArrowColumn, at: ArrowColumn) -> pa.Array:
    """Read about CHUNK_BYTES of records from a place on.

    Args:
        runtime: holds the positions where readers of compressed files stopped.
        spec: JSON: `files`, `columns` (name and type) and `others_allowed`.
        at: which file, the byte offset in it (decompressed), the number of the record there; NULL:
            the first.

    Returns:
        Per row the place to go on from (NULL: all was read), the file, and its records: number and,
        of each kind, a list of values for each column of that kind, NULL where there are none.

    Raises:
        TFRecordError: a file is not there or broken, a record does not fit the columns.
    """
    chunks = [
        _chunk(*_order(text), place, runtime.positions)
        for text, place in zip(spec.to_pylist(), at.to_pylist(), strict=True)
    ]
    return pa.array(chunks, ARROW_TYPE)


@lru_cache(maxsize=16)
def _order(text: str) -> tuple[tuple[str, ...], tuple[Column, ...], bool]:
    order = json.loads(text)
    columns = tuple(Column(name, kind) for name, kind in order["columns"])
    return tuple(order["files"]), columns, order["others_allowed"]


def _chunk(
    files: tuple[str, ...],
    columns: tuple[Column, ...],
    others_allowed: bool,
    place: Mapping[str, int] | None,
    positions: Positions,
) -> dict[str, object]:
    place = place or {"file": 0, "offset": 0, "record": 0}
    name = files[place["file"]]
    rows: list[dict[str, Any]] = []  # record, and lists by kind
    n_bytes, after = 0, None
    with tfrecords.opened(name, place["offset"], positions) as stream:
        for record in tfrecords.read(stream, place["record"]):
            values = examples.values(record, name, columns, others_allowed=others_allowed)
            rows.append({"record": record.number} | values)
            n_bytes += len(record.data)
            if n_bytes >= CHUNK_BYTES or len(rows) >= CHUNK_RECORDS:
                after = {"file": place["file"], "offset": record.end, "record": record.number + 1}
                stream.keep(positions)
                break
    if after is None and place["file"] + 1 < len(files):
        after = {"file": place["file"] + 1, "offset": 0, "record": 0}
    return {"next": after, "filename": name, "rows": rows}


KERNELS = (Kernel("vista_records", ("VARCHAR", PLACE_TYPE), SQL_TYPE, read),)
