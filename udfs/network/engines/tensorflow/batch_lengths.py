"""How many rows TensorFlow computes at once: few lengths, at which a row's bits stay the same."""

from __future__ import annotations

import numpy as np

from vista_sql.kernels import BATCH_LENGTHS, GRANULE, padded_rows, rows_at_once

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
    SeparableConvolution,
    Step,
    Subsample,
)

MOST_BLOCK_ROWS = 64
"""Rows that a dense layer multiplies at once, at most; another number may be other bits."""

EVEN_KINDS = frozenset({
    "AveragePooling2D", "BatchNormalization", "Concatenate", "Cropping2D", "Flatten",
    "GlobalAveragePooling2D", "GlobalMaxPooling2D", "LeakyReLU", "MaxPooling2D", "Maximum",
    "Minimum", "Normalization", "Permute", "Reshape", "Subtract", "UpSampling2D", "ZeroPadding2D",
})  # fmt: skip
"""Kinds of foreign steps that compute every value alike: sums, products, maxima, copies."""


def granule(graph: Graph) -> int:
    """Return what the length of a batch is padded to a multiple of, for its rows' bits to stay."""
    uneven = (step for step in graph.steps.values() if not is_even(step))
    return GRANULE if any(len(step.shape or ()) != 1 for step in uneven) else BATCH_LENGTHS[0]


def block_rows(graph: Graph) -> int:
    """Return how many rows a dense layer of a network multiplies at once."""
    return rows_at_once(graph.widest_values, BATCH_LENGTHS[0], MOST_BLOCK_ROWS)


def is_even(step: Step) -> bool:
    """Return whether a step computes every value alike, wherever it stands in a batch."""
    match step.operation:
        case ResponseNorm():
            return (step.shape or (1,))[-1] % GRANULE == 0  # type: ignore[operator]
        case Convolution() | Dense() | Activate():
            return step.operation.activation in ("linear", "relu", "relu6")
        case Foreign():
            return step.operation.kind in EVEN_KINDS
        case LayerNorm() | ScaleChannels() | Subsample():
            return False
        case PartialConvolution() | SeparableConvolution():
            return False
    return True  # sums, products, maxima, copies


def padded(batch: np.ndarray, granule: int) -> np.ndarray:
    """Return the batch with its last row repeated up to the next length of full granules.

    Example:
        >>> padded(np.array([7, 8, 9]), 2)
        array([7, 8, 9, 9])
    """
    target = padded_rows(len(batch), granule)
    if target == len(batch):
        return batch
    return np.concatenate([batch, np.repeat(batch[-1:], target - len(batch), axis=0)])
