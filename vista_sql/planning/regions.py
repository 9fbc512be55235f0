"""What a TRANSFER's arguments `region` and `pool` say of boxes: how they become features."""

from __future__ import annotations

from vista_sql.kernels import ROI_POOLS, Pool, Region
from vista_sql.roster import Cnn, Layer
from vista_sql.settings import alternatives
from vista_sql.sql.calls import Call


def of(call: Call) -> tuple[Region | None, Pool]:
    """Return a call's region (None: rows are images) and its pooling, which depends on it.

    Raises:
        ArgumentError: a region without boxes, or a pooling that the region has not.
    """
    region: Region | None = call.get("region")
    pool: Pool = call.get("pool")
    if call.get("boxes") is None:
        if region is not None:
            raise call.error("region", f"region => {region!r} needs boxes => …, a relation of them")
        return None, pool
    region = region or "crop"
    if region not in ROI_POOLS:
        return region, pool
    able = ROI_POOLS[region]
    if call.values.get("pool") is None:
        pool = able[0]
    if pool not in able:
        raise call.error(
            "pool", f"region => {region!r} takes pool => {alternatives(able)}, not {pool!r}"
        )
    return region, pool


def pooled_values(call: Call, region: Region, cnn: Cnn, layer: Layer, pool: Pool) -> int:
    """Return how many values a box has of a layer's map.

    Raises:
        ArgumentError: the layer is no map.
    """
    if len(layer.shape) != 3:
        shape = "×".join(map(str, layer.shape))
        raise call.error(
            "layers",
            f"layer {layer.name!r} of {cnn.title} has {shape} values and is no map, which region "
            f"=> {region!r} reads boxes off: name a layer of height × width × channels, or take "
            "region => 'crop'",
        )
    return layer.shape[2] * (1 if pool in ("gmp", "gap") else 4)
