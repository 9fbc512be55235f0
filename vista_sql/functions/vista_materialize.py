"""VISTA_MATERIALIZE: keep a base layer's raw maps in the feature store."""

from __future__ import annotations

from vista_sql.functions import transfer
from vista_sql.kernels import InferSpec
from vista_sql.planning.rewrite import ASSUMED_IMAGE
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import KeyNames, Names
from vista_sql.sql.quoting import identifier, text_literal

PASSED_ON = ("cnn", "images", "image", "key", "weights", "dtype", "device", "seed", "store")
"""Arguments that are TRANSFER's and mean the same here."""


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT that infers what the store lacks, when it runs."""
    values = {name: call.values.get(name) for name in PASSED_ON} | {"layers": call.get("layer")}
    places = {**call.places}
    if "layer" in places:
        places["layers"] = places["layer"]
    workload = transfer.bind(Call("transfer", values, places), planner)
    choice = workload.store
    if not choice.folder:
        raise call.error(
            "store", "VISTA_MATERIALIZE keeps maps in the feature store, which is off: store => …"
        )
    image_unknown = workload.image_column is None  # the kernel finds it
    threads = planner.setting("threads", call).value
    spec = InferSpec(
        cnn=workload.cnn.name,
        layers=(),
        weights=workload.weights,
        seed=workload.seed,
        dtype=workload.dtype,
        device=workload.device,
        threads=threads,
        run=planner.new_run(),
        store=choice.folder,
        store_bytes=choice.limit_bytes,
        store_required=True,
        materialize=tuple(tap.layer.name for tap in workload.taps),
        image_key=workload.image_key if image_unknown else "",
        image_name=ASSUMED_IMAGE if image_unknown else "",
    )
    rows, map_ = (identifier(planner.fresh_name(role)) for role in ("rows", "map"))
    image = rows if image_unknown else f"{rows}.{identifier(workload.image_column or '')}"
    key = f"CAST({rows}.{identifier(workload.image_key)} AS VARCHAR)"
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
        f"  FROM (SELECT {kernel} AS {map_} FROM {workload.images.text} AS {rows})\n"
        f"  GROUP BY ALL\n"
        ")"
    )


TRANSFER = transfer.FUNCTION.argument

FUNCTION = TableFunction(
    name="vista_materialize",
    arguments=(
        TRANSFER("cnn"),
        Argument("layer", "the layers whose raw maps are kept", Names(), required=True),
        *map(TRANSFER, ("images", "image")),
        Argument("key", "the key of the image relation", KeyNames("a column's name"), "id"),
        *map(TRANSFER, ("weights", "dtype", "device", "seed", "store")),
    ),
    expand=expand,
    meaning="keep a layer's raw maps in the feature store: images, bytes, seconds, errors",
)
