"""VISTA_MATERIALIZE: keep a base layer's raw maps, in the feature store or in a table on Spark."""

from __future__ import annotations

from msgspec.structs import replace

from vista_sql.functions import _own_transfer, transfer
from vista_sql.planning.onnx_files import PIXELS
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import KeyNames, Names, Text
from vista_sql.sql.quoting import identifier, text_literal


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT that infers what the store lacks, when it runs."""
    values = _own_transfer.passed_on(call) | {"layers": call.get("layer")}
    places = {**call.places}
    if "layer" in places:
        places["layers"] = places["layer"]
    if not planner.calls_in_sql:
        return _in_table(call, Call("transfer", values, places), planner)
    if call.get("table") is not None:
        raise call.error(
            "table",
            "table => … is of Spark's catalog: here maps are kept in the feature store, where "
            "TRANSFER finds them: leave table out",
        )
    reading = planner.reading(Call("transfer", values, places))
    if not reading.spec.store:
        raise call.error(
            "store", "VISTA_MATERIALIZE keeps maps in the feature store, which is off: store => …"
        )
    spec = replace(
        reading.spec,
        threads=planner.setting("threads", call).value,
        store_required=True,
        materialize=reading.layers,
    )
    rows, map_ = (identifier(planner.fresh_name(role)) for role in ("rows", "map"))
    image = rows if reading.image is None else f"{rows}.{identifier(reading.image)}"
    key = f"CAST({rows}.{identifier(reading.key)} AS VARCHAR)"
    kernel = f"vista_keep({text_literal(spec.to_text())}, {image}, {key})"
    return (
        "SELECT count(digest) AS images, "
        "CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes, "
        "coalesce(max(ended) - min(began), 0) AS seconds, "
        "CAST(coalesce(sum(errors), 0) AS BIGINT) AS errors\n"
        f"FROM (\n"
        f"  SELECT {map_}.digest AS digest, any_value({map_}.bytes) AS bytes, "
        f"min({map_}.began) AS began, max({map_}.ended) AS ended, "
        f'count({map_}."error") AS errors\n'
        f"  FROM (SELECT {kernel} AS {map_} FROM {reading.relation} AS {rows})\n"
        f"  GROUP BY ALL\n"
        ")"
    )


def _in_table(call: Call, own: Call, planner: Planner) -> str:
    """Return the SELECT where maps are kept in tables: it infers and writes when it is made.

    Raises:
        ArgumentError: the call names no table, or a store too, or several layers.
    """
    table: str | None = call.get("table")
    if table is None:
        raise call.error(
            "", "VISTA_MATERIALIZE needs table => 'name' on Spark: the table that keeps the maps"
        )
    if call.get("store") is not None:
        raise call.error("store", "table and store exclude each other: leave store out")
    if len(call.get("layer")) != 1:
        raise call.error("layer", "a table holds the maps of one layer: make one for each of them")
    values = {**own.values, "pool": "none", "plan": "fused", "store": False}
    return planner.kept(Call("transfer", values, own.places), table)


TRANSFER = transfer.FUNCTION.argument

FUNCTION = TableFunction(
    name="vista_materialize",
    arguments=(
        TRANSFER("cnn"),
        Argument("layer", "the layers whose raw maps are kept", Names(), required=True),
        *map(TRANSFER, ("images", "image")),
        Argument("key", "the key of the image relation", KeyNames("a column's name"), "id"),
        *map(TRANSFER, ("weights", "dtype", "device", "engine", "resize", "fit", "seed", "store")),
        *map(TRANSFER, PIXELS),
        Argument("table", "on Spark: the table of maps to write, for base => …", Text("a name")),
    ),
    expand=expand,
    meaning="keep a layer's raw maps, in the feature store or a table on Spark: images, bytes, "
    "seconds, errors",
)
