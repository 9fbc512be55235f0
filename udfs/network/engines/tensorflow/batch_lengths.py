"""How many rows TensorFlow computes at once: few lengths, at which a row's bits stay the same."""

from __future__ import annotations

from math import prod

import numpy as np

from ...graph import Graph
from ...steps import (
    Activate,
    Convolution,
    Dense,
    Foreign,
    LayerNorm,
    PartialConvolution,
    ResponseNorm,
    ScaleChannels,
    Step,
    Subnetwork,
    Subsample,
)

LENGTHS = (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Batches are padded to one of these lengths, to multiples of the graph's granule: few shapes to
compile for, and never a single row, which some operations treat as a vector."""

ACTIVATION_BYTES = 256 << 20  # of the widest step's float32 value over one micro-batch
MAX_BATCH_ROWS = 64  # no gain beyond 16 on a CPU (benchmarks/bench_inference.py)

GRANULE = 16
"""Rows whose values are computed alike wherever they stand in a batch of a multiple of so many.

TensorFlow computes roots and exponentials of 16 float32 values at a time in another way than of the
few left over at a tensor's end; a multiple of 16 rows leaves none over, whatever their shape.
"""

EVEN_KINDS = frozenset({
    "AveragePooling2D", "BatchNormalization", "Concatenate", "Cropping2D", "Flatten",
    "GlobalAveragePooling2D", "GlobalMaxPooling2D", "LeakyReLU", "MaxPooling2D", "Maximum",
    "Minimum", "Normalization", "Permute", "Reshape", "Subtract", "UpSampling2D", "ZeroPadding2D",
})  # fmt: skip
"""Kinds of foreign steps that compute every value alike: sums, products, maxima, copies."""


def granule(graph: Graph) -> int:
    """Return what the length of a batch is padded to a multiple of, for its rows' bits to stay."""
    uneven = (step for step in graph.steps.values() if not is_even(step))
    return GRANULE if any(len(step.shape or ()) != 1 for step in uneven) else LENGTHS[0]


def batch_rows(graph: Graph) -> int:
    """Return the most images in one micro-batch: a power of two, by the widest step's bytes."""
    shapes = [step.shape for step in graph.steps.values() if step.shape]
    widest_bytes = max(prod(side or 1 for side in shape) * 4 for shape in shapes)
    rows = max(LENGTHS[0], min(MAX_BATCH_ROWS, ACTIVATION_BYTES // widest_bytes))
    return 1 << (rows.bit_length() - 1)


def is_even(step: Step) -> bool:
    """Return whether a step computes every value alike, wherever it stands in a batch."""
    match step.operation:
        case ResponseNorm():
            return (step.shape or (1,))[-1] % GRANULE == 0  # type: ignore[operator]
        case Convolution() | Dense() | Activate():
            return step.operation.activation in ("linear", "relu", "relu6")
        case Foreign():
            return step.operation.kind in EVEN_KINDS
        case LayerNorm() | ScaleChannels() | Subsample() | PartialConvolution() | Subnetwork():
            return False
    return True  # sums, products, maxima, copies


def padded(batch: np.ndarray, granule: int) -> np.ndarray:
    """Return the batch with its last row repeated up to the next length of full granules.

    Example:
        >>> padded(np.array([7, 8, 9]), 2)
        array([7, 8, 9, 9])
    """
    rows = len(batch)
    fitting = (length for length in LENGTHS if length >= rows and length % granule == 0)
    target = next(fitting, -(-rows // granule) * granule)
    if target == rows:
        return batch
    return np.concatenate([batch, np.repeat(batch[-1:], target - rows, axis=0)])
