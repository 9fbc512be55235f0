"""vista_space: what raw maps of a layer depend on beside the image, for those who keep them."""

from __future__ import annotations

import json

import pyarrow as pa
from msgspec import to_builtins

from vista_sql.kernels import Kernel

from .passes.arrow import Column, spec_of
from .passes.runtime import Runtime
from .passes.store_view import space_of


def space(runtime: Runtime, spec: Column) -> pa.Array:
    """Return what the raw maps of the spec's one layer are made by, here.

    Args:
        runtime: shared by the process's kernels.
        spec: an InferSpec as text, the same in every row, of one layer.

    Returns:
        VARCHAR, the same in every row: JSON of the fields of `vista_sql.store.Space`, and the
        `engine`. Of these `computation`, `dtype`, `preprocessing` and `made_by` decide: where they
        are equal, maps of equal images are, to the last bit.

    Raises:
        UnknownNameError: there is no such CNN, or there are no such weights.
        WeightsError: the weights are missing or damaged.
    """
    order = spec_of(spec)
    if order is None:
        return pa.nulls(0, pa.string())
    (layer,) = order.layers
    found = to_builtins(space_of(runtime.opened(order), order, (layer, "none")))
    return pa.repeat(json.dumps(found | {"engine": order.engine}, sort_keys=True), len(spec))


KERNELS = (Kernel("vista_space", ("VARCHAR",), "VARCHAR", space),)
