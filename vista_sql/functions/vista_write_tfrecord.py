"""VISTA_WRITE_TFRECORD(data, file, …): rows as TFRecord files, when the statement runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import Number, OneOf, RelationText, Text
from vista_sql.sql.quoting import identifier, text_literal
from vista_sql.tfrecord.files import Compression

MOST_SHARDS = 1000  # all are open at once


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT that writes the rows of `data` in their order and returns the files.

    Numbering the rows keeps them in one thread's hands and in order; the outer join writes an empty
    file where there are none.
    """
    file, compression, shards = (call.get(name) for name in ("file", "compression", "shards"))
    if not file:
        raise call.error("file", "file must be a path to write to, not ''")
    path = Path(file).expanduser().absolute()
    if not path.parent.is_dir():
        raise call.error("file", f"there is no folder {path.parent}; create it, or name another")
    if path.is_dir():
        raise call.error("file", f"{path} is a folder; name a file in it")
    order = {"file": str(path), "compression": compression, "shards": shards}
    spec = text_literal(json.dumps(order | {"run": planner.new_run()}, ensure_ascii=False))
    relation = planner.relation(call.get("data"), call, "data")
    begun, fed, row, n, id_ = (
        identifier(planner.fresh_name(role)) for role in ("begun", "fed", "row", "n", "id")
    )
    return (
        f"WITH {begun} AS MATERIALIZED (SELECT vista_export_begin({spec}) AS {id_}), "
        f"{fed} AS MATERIALIZED (SELECT {id_}, "
        f"CAST(sum(vista_export_feed({id_}, {n}, {row})) AS BIGINT) AS {n} "
        f"FROM (SELECT row_number() OVER () AS {n}, {row} FROM {relation} AS {row}), {begun} "
        f"GROUP BY {id_}) "
        f"SELECT unnest(vista_export_finish({begun}.{id_}, {fed}.{n}), recursive := true) "
        f"FROM {begun} LEFT JOIN {fed} ON {begun}.{id_} = {fed}.{id_}"
    )


FUNCTION = TableFunction(
    "vista_write_tfrecord",
    (
        Argument("data", "the rows", RelationText(), required=True),
        Argument("file", "the file to write", Text("a path to write to"), required=True),
        Argument("compression", "of the files", OneOf(get_args(Compression)), "none"),
        Argument(
            "shards",
            "how many files: out-00000-of-00004.tfrecord …",
            Number(1, MOST_SHARDS, whole=True),
            1,
        ),
    ),
    expand,
    "write rows to TFRecord files; returns the files with their rows and bytes",
)
