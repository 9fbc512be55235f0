"""Batches have few lengths, and rows are computed alike wherever they stand in one."""

from __future__ import annotations

import described
import numpy as np
import pytest
from toys import lowered
from vista_sql.udfs.network.engines.tensorflow.batch_lengths import (
    granule,
    is_even,
    padded,
)
from vista_sql.udfs.network.graph import Graph
from vista_sql.udfs.network.steps import (
    Activate,
    Dense,
    Foreign,
    Image,
    LayerNorm,
    Multiply,
    ResponseNorm,
    Step,
)

from vista_sql.kernels import BATCH_LENGTHS, GRANULE, MOST_AT_ONCE, WIDEST_BYTES, rows_at_once


@pytest.mark.parametrize(
    ("rows", "unit", "length"),
    [(1, 2, 2), (2, 2, 2), (3, 2, 4), (5, 2, 8), (5, 16, 16), (17, 16, 32), (300, 16, 304)],
)
def test_batches_are_filled_with_their_last_row(rows, unit, length):
    values = np.arange(2 * rows).reshape(rows, 2)
    found = padded(values, unit)
    assert len(found) == length
    assert np.array_equal(found[:rows], values)
    assert (found[rows:] == values[-1]).all()


@pytest.mark.parametrize(
    ("operation", "shape", "even"),
    [
        (Activate("relu"), (4, 4, 3), True),
        (Activate("tanh"), (4, 4, 3), False),
        (Activate(""), (3,), False),
        (Dense(np.ones((2, 2)), None, "softmax"), (2,), False),
        (Multiply(), (4, 4, 3), True),
        (LayerNorm(None, None, 1e-3), (4, 4, 3), False),
        (ResponseNorm(2, 1.0, 1.0, 0.75), (4, 4, GRANULE), True),
        (ResponseNorm(2, 1.0, 1.0, 0.75), (4, 4, 3), False),
        (Foreign("Maximum"), (3,), True),
        (Foreign("SeparableConv2D"), (4, 4, 3), False),
        (Foreign(""), (4, 4, 3), False),
    ],
)
def test_roots_and_exponentials_are_uneven(operation, shape, even):
    assert is_even(Step("one", operation, ("image",), shape)) is even


def test_only_maps_that_are_uneven_need_full_granules():
    assert granule(described.graph()) == BATCH_LENGTHS[0]  # its tanh is of a vector
    assert granule(lowered("residual").graph) == BATCH_LENGTHS[0]
    assert granule(lowered("mobile").graph) == GRANULE


def test_micro_batches_are_as_long_as_the_widest_step_allows():
    def at_once(side, granule=2):
        graph = Graph("square", [Step("image", Image(), (), (side, side, 1))], "image")
        return rows_at_once(graph.widest_values, granule)

    assert at_once(4) == MOST_AT_ONCE
    side = int((WIDEST_BYTES / 4 / 10) ** 0.5)
    assert at_once(side) == 8
    assert at_once(20 * side) == BATCH_LENGTHS[0]
    assert at_once(20 * side, GRANULE) == GRANULE  # fewer would be filled up to so many
