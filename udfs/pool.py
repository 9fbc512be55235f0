"""vista_pool: a layer's raw maps to pooled features."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa

from vista_sql.errors import HostError
from vista_sql.kernels import Kernel

from .passes.arrow import FEATURES, Column, feature_lists, map_rows, spec_of
from .passes.runtime import Runtime


def pool(runtime: Runtime, spec: Column, map_: Column) -> pa.Array:
    """Pool raw maps of the first of the spec's layers.

    Args:
        runtime: shared by the process's kernels.
        spec: an InferSpec as text, the same in every row; `layers` has one entry.
        map_: BLOBs as vista_maps and vista_resume return them; NULL: no map.

    Returns:
        FLOAT[], row i for row i, bit for bit what vista_infer returns; NULL where the map is NULL.

    Raises:
        HostError: the spec has several layers, or a BLOB is no map of the layer.
        ArgumentError: there is no such pooling.
    """
    order = spec_of(spec)
    if order is None:
        return pa.nulls(0, FEATURES)
    if len(order.layers) != 1:
        raise HostError(f"vista_pool was called with {len(order.layers)} layers, not with one")
    (layer,) = order.layers
    network = runtime.network(order)
    rows, present = map_rows(map_, network.size(layer), layer)
    batch_rows = order.batch_rows or network.batch_rows
    places = np.flatnonzero(present)
    out: np.ndarray | None = None
    for cut in range(0, len(places), batch_rows):
        some = places[cut : cut + batch_rows]
        runtime.raise_if_cancelled()
        with runtime.inference, runtime.clock(order.run).inferring():
            began = time.perf_counter()
            (matrix,) = network.resume(layer, [layer], order.pool, rows(some))
            runtime.count(order.run, pool_seconds=time.perf_counter() - began)
        if out is None:
            out = np.empty((len(present), matrix.shape[1]), np.float32)
        out[some] = matrix
    return feature_lists(out, present)


KERNELS = (Kernel("vista_pool", ("VARCHAR", "BLOB"), "FLOAT[]", pool),)
