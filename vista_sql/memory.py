"""How many bytes a plan holds at its peak, from shapes alone. Pure functions."""

from __future__ import annotations

from math import prod

from vista_sql import roster
from vista_sql.plans import Infer, Stage
from vista_sql.roster import Cnn, Layer
from vista_sql.workload import Workload

FLOAT_BYTES = 4
ALIVE_MAPS = 3
"""Raw maps of one image alive at once inside the graph: an operation's input, its output, and a
residual branch's."""

RUNTIME_BYTES = 700 * 2**20
"""TensorFlow itself, resident after its import and a first pass, without weights; measured."""

WEIGHT_COPIES = 2
"""The weights as loaded, and as the engine keeps them (reordered for its convolutions)."""

MICRO_BATCH_BYTES = 384 * 2**20
"""What one micro-batch may hold unless memory is short: larger ones are not faster (flat from 8 to
128 images for ResNet50) and smaller ones pay the call's overhead."""

MOST_ROWS, FEWEST_ROWS = 256, 2


def map_bytes(layer: Layer) -> int:
    """Return the bytes of a layer's raw float32 map, one image."""
    return FLOAT_BYTES * layer.size


def feature_bytes(workload: Workload) -> int:
    """Return the bytes of all used layers' pooled features, one image."""
    return sum(FLOAT_BYTES * tap.values for tap in workload.used_taps)


def activation_bytes(cnn: Cnn, layers: tuple[Layer, ...]) -> int:
    """Return the most bytes of activations alive for one image on the way to `layers`."""
    if not layers:
        return 0
    top = max(layer.flops for layer in layers)
    passed = [layer.size for layer in cnn.layers if layer.flops <= top] or [layers[0].size]
    return FLOAT_BYTES * ALIVE_MAPS * max(passed)


def bytes_per_row(workload: Workload, stages: tuple[Stage, ...]) -> int:
    """Return the bytes that one row of a micro-batch holds while the stages run."""
    if not any(isinstance(stage, Infer) for stage in stages):
        return 0
    most = 0
    for cnn, taps in workload.passes:
        pixels = prod(cnn.input_shape) * (1 + FLOAT_BYTES)  # as decoded, and as the network's input
        most = max(most, pixels + activation_bytes(cnn, tuple(tap.layer for tap in taps)))
    maps = sum(
        map_bytes(layer)
        for stage in stages
        if isinstance(stage, Infer) and stage.form == "maps"
        for layer in stage.layers
    )
    return (
        most
        + maps
        + 2 * feature_bytes(workload)  # in the kernel, and in the engine that reads them
    )


def fixed_bytes(workload: Workload, stages: tuple[Stage, ...]) -> int:
    """Return the bytes that do not depend on the number of rows: TensorFlow and the weights."""
    if not any(isinstance(stage, Infer) for stage in stages):
        return 0
    parameters = [cnn.parameters for cnn, _ in workload.passes if cnn.name != roster.DESCRIPTOR]
    return RUNTIME_BYTES * bool(parameters) + WEIGHT_COPIES * FLOAT_BYTES * sum(parameters)


def peak_bytes(
    workload: Workload, stages: tuple[Stage, ...], batch_rows: int, vector_rows: int
) -> int:
    """Return the most bytes that the stages hold at once.

    Args:
        workload: what is computed.
        stages: how.
        batch_rows: rows in one micro-batch.
        vector_rows: rows for which the engine holds the results of a call at once; `batch_rows`
            where it is handed small batches.
    """
    held = max(vector_rows - batch_rows, 0) * (
        feature_bytes(workload)
        + sum(
            map_bytes(layer)
            for stage in stages
            if isinstance(stage, Infer) and stage.form == "maps"
            for layer in stage.layers
        )
    )
    return fixed_bytes(workload, stages) + batch_rows * bytes_per_row(workload, stages) + held
