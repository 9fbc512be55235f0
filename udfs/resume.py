"""vista_resume_<slots>: a layer's raw maps to the raw maps of layers above it."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pyarrow as pa

from vista_sql.errors import HostError
from vista_sql.kernels import LAYER_SLOTS, Kernel

from .passes.arrow import Column, map_blobs, map_rows, spec_of, struct
from .passes.runtime import Runtime


def resume(slots: int, runtime: Runtime, spec: Column, map_: Column) -> pa.StructArray:
    """Go on from raw maps of the layer `start` of the spec to the spec's layers.

    Args:
        slots: how many layers the function's type has room for.
        runtime: shared by the process's kernels.
        spec: an InferSpec as text, the same in every row; `pool` is not used.
        map_: BLOBs as vista_maps and vista_resume return them; NULL: no map.

    Returns:
        STRUCT(l1 BLOB, …, l<slots> BLOB), row i for row i, bit for bit what vista_maps returns;
        NULL where the map is NULL.

    Raises:
        PlanError: a layer cannot be computed from `start` alone.
        HostError: the spec has no start, or a BLOB is no map of that layer.
    """
    order = spec_of(spec)
    if order is None:
        return struct([pa.nulls(0, pa.large_binary())], slots, None)
    if order.start is None:
        raise HostError("vista_resume was called with a spec that names no start")
    network = runtime.network(order)
    rows, present = map_rows(map_, network.size(order.start), order.start)
    network.check_start(order.start, order.layers)
    batch_rows = order.batch_rows or network.batch_rows
    places = np.flatnonzero(present)
    results: list[np.ndarray | None] = [None] * len(order.layers)
    for cut in range(0, len(places), batch_rows):
        some = places[cut : cut + batch_rows]
        runtime.raise_if_cancelled()
        with runtime.inference:
            began = time.perf_counter()
            with runtime.clock(order.run).inferring():
                matrices = network.resume(order.start, order.layers, "none", rows(some))
            seconds = time.perf_counter() - began
        for slot, matrix in enumerate(matrices):
            out = results[slot]
            if out is None:
                out = results[slot] = np.empty((len(present), matrix.shape[1]), np.float32)
            out[some] = matrix
        evaluations = len(some) * len(matrices)
        runtime.count(order.run, batches=1, layer_evaluations=evaluations, infer_seconds=seconds)
    return struct([map_blobs(matrix, present) for matrix in results], slots, None)


def _returns(slots: int) -> str:
    return f"STRUCT({', '.join(f'l{i} BLOB' for i in range(1, slots + 1))})"


KERNELS = tuple(
    Kernel(f"vista_resume_{slots}", ("VARCHAR", "BLOB"), _returns(slots), partial(resume, slots))
    for slots in LAYER_SLOTS
)
