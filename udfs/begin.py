"""vista_begin(order): start a run that will be fed rows, and return its id."""

from __future__ import annotations

import json

import pyarrow as pa

from vista_sql.errors import ModelError
from vista_sql.kernels import Kernel

from .passes.arrow import Column
from .passes.runtime import Runtime


def begin(runtime: Runtime, order: Column) -> pa.Array:
    """Start the run that is ordered, and return its id.

    Args:
        runtime: holds the runs of the process.
        order: one text (`vista_sql.fed_runs.order_of`).

    Raises:
        ModelError: several rows: the function stands beside the rows of another relation.
    """
    orders = order.to_pylist()
    if len(orders) > 1:
        (kind,) = json.loads(orders[0])
        raise ModelError(
            f"VISTA_{kind.upper()} cannot be correlated with other rows: it runs once per "
            "statement; write the data as a query of its own"
        )
    return pa.array([runtime.fed_runs.begin(text) for text in orders], pa.string())


KERNELS = (Kernel("vista_begin", ("VARCHAR",), "VARCHAR", begin),)
