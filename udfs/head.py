"""vista_head(spec, values): a layer's vectors to a layer above it, as from the image."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa

from vista_sql.errors import HostError
from vista_sql.kernels import Kernel

from .passes.arrow import Column, feature_lists, one_array, spec_of
from .passes.runtime import Runtime


def head(runtime: Runtime, spec: Column, values: Column) -> pa.Array:
    """Go on from vectors of the layer `start` of the spec to its only layer; no image is read.

    Args:
        runtime: shared by the process's kernels.
        spec: an InferSpec as text, the same in every row; `pool` and `store` are not used.
        values: FLOAT[] as TRANSFER returns the layer `start`, whose map is a vector.

    Returns:
        FLOAT[], row i for row i, bit for bit what TRANSFER returns of the layer; NULL where the
        vector is NULL.

    Raises:
        PlanError: the layer cannot be computed from `start` alone.
        HostError: the spec has no start, or a vector has another length.
    """
    order = spec_of(spec)
    if order is None:
        return pa.array([], pa.large_list(pa.float32()))
    if order.start is None:
        raise HostError("vista_head was called with a spec that names no start")
    network = runtime.network(order)
    network.check_start(order.start, order.layers)
    column, size = one_array(values), network.size(order.start)
    present = np.asarray(column.is_valid())
    flat = column.filter(pa.array(present)).flatten().to_numpy(zero_copy_only=False)
    if len(flat) != size * int(present.sum()):
        raise HostError(f"vista_head: layer {order.start!r} has vectors of {size} values")
    vectors, places = flat.reshape(-1, size), np.flatnonzero(present)
    result: np.ndarray | None = None
    for cut in range(0, len(places), network.batch_rows):
        part = slice(cut, cut + network.batch_rows)
        runtime.raise_if_cancelled()
        with runtime.inference:
            began = time.perf_counter()
            (matrix,) = network.resume(order.start, order.layers, "none", vectors[part])
            seconds = time.perf_counter() - began
        if result is None:
            result = np.zeros((len(present), matrix.shape[1]), np.float32)
        result[places[part]] = matrix
        runtime.count(order.run, infer_seconds=seconds)
    return feature_lists(result, present)


KERNELS = (Kernel("vista_head", ("VARCHAR", "FLOAT[]"), "FLOAT[]", head),)
