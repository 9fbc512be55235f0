"""vista_export_begin, vista_export_feed and vista_export_finish: write rows to TFRecord files."""

from __future__ import annotations

import json

import pyarrow as pa
from msgspec.structs import asdict

from vista_sql.errors import TFRecordError
from vista_sql.kernels import Kernel

from .passes.arrow import Column, one_array
from .passes.runtime import Runtime

SQL_TYPE = 'STRUCT("file" VARCHAR, "rows" BIGINT, "bytes" BIGINT)[]'
ARROW_TYPE = pa.list_(
    pa.struct([("file", pa.string()), ("rows", pa.int64()), ("bytes", pa.int64())])
)


def begin(runtime: Runtime, spec: Column) -> pa.Array:
    """Open the files of an export.

    Args:
        runtime: holds the exports of the process.
        spec: JSON: `file`, `compression`, `shards`, `run`.

    Returns:
        Its id.

    Raises:
        TFRecordError: a file cannot be created; or several rows: the export stands beside those of
            another relation.
    """
    if len(spec) > 1:
        raise TFRecordError("export", "it runs once per statement, not beside rows of a table")
    return pa.array([runtime.exports.begin(json.loads(s)) for s in spec.to_pylist()], pa.string())


def feed(runtime: Runtime, export: Column, number: Column, row: Column) -> pa.Array:
    """Write rows.

    Args:
        runtime: holds the exports of the process.
        export: the id that vista_export_begin returned, the same in all rows.
        number: the rows' numbers, from 1, in their order.
        row: a STRUCT of all columns.

    Returns:
        1 for each row.

    Raises:
        TFRecordError: a value cannot be written.
    """
    if len(export):
        batch = pa.RecordBatch.from_struct_array(one_array(row))
        runtime.exports.feed(export[0].as_py(), number[0].as_py() - 1, batch)
    return pa.array([1] * len(export), pa.int64())


def finish(runtime: Runtime, export: Column, n_rows: Column) -> pa.Array:
    """End exports: the files have their names now.

    Args:
        runtime: holds the exports of the process.
        export: ids.
        n_rows: how many rows were fed; NULL for none. It makes the engine feed them first.

    Returns:
        Per export the files with their rows and bytes.
    """
    del n_rows
    files = [[asdict(file) for file in runtime.exports.finish(e)] for e in export.to_pylist()]
    return pa.array(files, ARROW_TYPE)


KERNELS = (
    Kernel("vista_export_begin", ("VARCHAR",), "VARCHAR", begin),
    Kernel("vista_export_feed", None, "BIGINT", feed),
    Kernel("vista_export_finish", ("VARCHAR", "BIGINT"), SQL_TYPE, finish),
)
