"""vista_begin(spec): start a training or an evaluation and return its run's id."""

from __future__ import annotations

import json

import pyarrow as pa

from vista_sql import weights
from vista_sql.errors import ModelError
from vista_sql.kernels import Kernel

from .passes.arrow import Column
from .passes.runtime import Runtime


def begin(runtime: Runtime, spec: Column) -> pa.Array:
    """Start the run that a spec orders, and return its id.

    Args:
        runtime: holds the trainings of the process.
        spec: one JSON text (`vista_sql.train.spec`).

    Raises:
        ModelError: several rows: the training stands beside the rows of another relation.
    """
    if len(spec) > 1:
        raise ModelError(
            "VISTA_TRAIN and VISTA_EVALUATE cannot be correlated with other rows: they run once "
            "per statement; write the data as a query of its own"
        )
    orders = [_with_weights(text) for text in spec.to_pylist()]
    return pa.array([runtime.trainings.begin(text) for text in orders], pa.string())


def _with_weights(text: str) -> str:
    """Return an order with the identity of weights that were not here when it was planned."""
    order = json.loads(text)
    transfers = order.get("train", {}).get("provenance", {}).get("transfers", ())
    for transfer in transfers:
        if transfer["weights_sha256"] is None:
            asked = transfer["arguments"]
            cnn = weights.facts(asked["cnn"])
            choice = weights.resolve(cnn, asked["weights"], asked.get("seed", 0))
            transfer["weights_sha256"] = choice.identity
    return json.dumps(order, sort_keys=True, separators=(",", ":"))


KERNELS = (Kernel("vista_begin", ("VARCHAR",), "VARCHAR", begin),)
