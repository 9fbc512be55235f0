"""Heat maps by linearity: sums, places, and which map lies below a layer."""

from __future__ import annotations

import numpy as np
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from vista_sql.udfs.heatmaps.below import Below, below
from vista_sql.udfs.heatmaps.cam import cam
from vista_sql.udfs.network.graph import Graph
from vista_sql.udfs.network.steps import (
    Dense,
    GlobalPool,
    Identity,
    Image,
    Pooling,
    Reshape,
    Step,
)

from vista_sql.errors import ModelError, UnknownNameError
from vista_sql.kernels import POOLS

LAYERS = {"residual": ("first_relu", "add", "max"), "inception": ("joined", "relu6")}


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(
    ("name", "layer"), [(n, one) for n, some in LAYERS.items() for one in some]
)
def test_the_sum_is_that_of_what_the_network_gives(name, layer, pool):
    network, images = toys.lowered(name), toys.pixels(3)
    (features,), (maps,) = (network.features([layer], how, images) for how in (pool, "none"))
    shape = network.graph.steps[layer].shape
    weights = np.random.default_rng(1).normal(size=features.shape[1])
    for map_, values in zip(maps.astype(np.float64), features.astype(np.float64), strict=True):
        heat = cam(map_.reshape(shape), values, weights, pool)
        assert heat.shape == shape[:2]
        assert abs(heat.sum() - weights @ values) <= 1e-12 * np.abs(weights * values).sum()


VALUES = st.floats(-100, 100, width=32).map(lambda value: round(value, 1))  # ties, too


@given(
    map_=arrays.arrays(
        np.float64, arrays.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=VALUES
    ),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_places_get_what_they_add(map_, seed):
    height, width, channels = map_.shape
    weights = np.random.default_rng(seed).normal(size=channels)
    mean = cam(map_, map_.mean(axis=(0, 1)), weights, "gap")
    np.testing.assert_allclose(mean, map_ @ weights / (height * width), atol=1e-9)
    largest = np.zeros((height, width))
    for channel, weight in enumerate(weights):
        first = np.unravel_index(map_[:, :, channel].argmax(), (height, width))
        largest[first] += weight * map_[:, :, channel].max()
    found = cam(map_, map_.max(axis=(0, 1)), weights, "gmp")
    np.testing.assert_allclose(found, largest, atol=1e-9)


def test_the_middle_of_an_odd_side_belongs_to_both_halves():
    map_ = np.zeros((3, 3, 1))
    map_[1, 1] = 5.0  # the largest of all four cells
    heat = cam(map_, np.full(4, 5.0), np.array([1.0, 10.0, 100.0, 1000.0]), "max2x2")
    assert heat[1, 1] == heat.sum() == 5 * 1111
    heat = cam(map_, np.full(4, 5 / 4), np.array([1.0, 10.0, 100.0, 1000.0]), "avg2x2")
    assert heat[1, 1] == heat.sum() == 1111 * 5 / 4


def chain(*steps):
    """Return a network of steps, one after the other, over a map of 4 × 4 × 2."""
    before, made = "map", [Step("map", Image(), (), (4, 4, 2))]
    for name, operation, shape in steps:
        made.append(Step(name, operation, (before,), shape))
        before = name
    return Graph("chain", made, output=before)


MAP = (4, 4, 2)


@pytest.mark.parametrize(
    ("steps", "pool", "wanted"),
    [
        ((), "gem", ("gem", MAP)),
        ([("mean", GlobalPool("mean"), (2,))], "max2x2", ("gap", MAP)),
        ([("max", GlobalPool("max", keep_axes=True), (1, 1, 2))], "none", ("gmp", MAP)),
        ([("max", GlobalPool("max", keep_axes=True), (1, 1, 2))], "gem", ("gem", (1, 1, 2))),
        ([("avg", Pooling("mean", (4, 4), (4, 4)), (1, 1, 2))], "max2x2", ("gap", MAP)),
        ([("avg", Pooling("mean", (2, 2), (2, 2)), (2, 2, 2))], "gap", ("gap", (2, 2, 2))),
        ([("flat", Reshape(), (32,)), ("drop", Identity(), (32,))], "gap", ("none", MAP)),
        (
            [("mean", GlobalPool("mean", keep_axes=True), (1, 1, 2)), ("flat", Reshape(), (2,))],
            "gap",
            ("gap", MAP),
        ),
    ],
)
def test_features_are_a_pooling_of_the_map_below(steps, pool, wanted):
    graph = chain(*steps)
    layer = (wanted[1] != MAP and graph.output) or "map"
    assert below(graph, graph.output, pool) == Below(layer, *wanted)


@pytest.mark.parametrize("pool", POOLS)
def test_a_dense_layer_has_no_places(pool):
    kernel = np.zeros((2, 3), np.float32)
    graph = chain(("mean", GlobalPool("mean"), (2,)), ("top", Dense(kernel, None), (3,)))
    with pytest.raises(ModelError, match=r"layer 'top' .* has no places.*method => 'occlusion'"):
        below(graph, "top", pool)
    with pytest.raises(UnknownNameError, match="did you mean 'top'"):
        below(graph, "tip", pool)
