"""vista_begin(spec): start a training or an evaluation and return its run's id."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from vista_sql.errors import ModelError
from vista_sql.kernels import Kernel


def begin(runtime: Any, spec: pa.ChunkedArray) -> pa.Array:
    """Start the run that `spec` orders.

    Args:
        runtime: has `trainings`.
        spec: one JSON text (`vista_sql.train._spec`).

    Raises:
        ModelError: several rows: the training stands beside the rows of another relation.
    """
    if len(spec) > 1:
        raise ModelError(
            "VISTA_TRAIN and VISTA_EVALUATE cannot be correlated with other rows: they run once "
            "per statement; write the data as a query of its own"
        )
    return pa.array([runtime.trainings.begin(text) for text in spec.to_pylist()], pa.string())


KERNELS = (Kernel("vista_begin", ("VARCHAR",), "VARCHAR", begin),)
