"""A network on windows gives what it gives on whole maps, wherever the patch lies."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from vista_sql.udfs.network.graph import Graph
from vista_sql.udfs.network.networks import Network, OpenCnn
from vista_sql.udfs.network.steps import (
    Add,
    BatchNorm,
    Concatenate,
    Convolution,
    Image,
    Pad,
    Pooling,
    Relu,
    Step,
)
from vista_sql.udfs.network.windows.again import Again
from vista_sql.udfs.network.windows.reach import Reach
from vista_sql.udfs.network.windows.segments import levels

from vista_sql.roster import Cnn, Preprocessing

SIDE, CHANNELS = 40, 3
TOLERANCE = 1e-5  # of the largest value: the issue's, for sums of floats in another order


def weights(*shape):
    random = np.random.default_rng(sum(shape))
    return random.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32)


def norm(channels):
    random = np.random.default_rng(channels)
    numbers = (random.normal(0.3, 0.2, channels).astype(np.float32) for _ in range(3))
    mean, gamma, beta = numbers
    return BatchNorm(mean, random.uniform(0.5, 2, channels).astype(np.float32), gamma, beta, 1e-3)


DEEP = Convolution(weights(5, 5, 8, 1), None, padding="same", depthwise=True)
FAR = Convolution(weights(3, 3, 8, 4), weights(4), (1, 1), (2, 2), "same")


def network():
    """Paddings of all kinds, strides, a residual block, branches, poolings, a depthwise step."""
    k = weights
    steps = (
        Step("image", Image(), (), (SIDE, SIDE, CHANNELS)),
        Step("pad", Pad(2, 1, 1, 2), ("image",), (SIDE + 3, SIDE + 3, CHANNELS)),
        Step("stem", Convolution(k(4, 4, CHANNELS, 8), k(8), (2, 2)), ("pad",), (20, 20, 8)),
        Step("stem_norm", norm(8), ("stem",), (20, 20, 8)),
        Step("stem_relu", Relu(), ("stem_norm",), (20, 20, 8)),
        Step("a", Convolution(k(1, 1, 8, 4), k(4), activation="relu"), ("stem_relu",), (20, 20, 4)),
        Step("b", Convolution(k(3, 3, 4, 8), k(8), padding="same"), ("a",), (20, 20, 8)),
        Step("sum", Add(), ("stem_relu", "b"), (20, 20, 8)),
        Step("block", Relu(), ("sum",), (20, 20, 8)),
        Step("pool", Pooling("max", (3, 3), (2, 2), "same"), ("block",), (10, 10, 8)),
        Step("one", Convolution(k(1, 1, 8, 4), k(4)), ("pool",), (10, 10, 4)),
        Step("deep", DEEP, ("pool",), (10, 10, 8)),
        Step("far", FAR, ("pool",), (10, 10, 4)),
        Step("joined", Concatenate(), ("one", "deep", "far"), (10, 10, 16)),
        Step("mean", Pooling("mean", (2, 2), (2, 2)), ("joined",), (5, 5, 16)),
        Step("top", Convolution(k(3, 3, 16, 6), k(6), padding="same"), ("mean",), (5, 5, 6)),
    )
    return Graph("windowed", steps, "top")


FACTS = Cnn(
    name="windowed",
    title="Windowed",
    paper="none",
    input_shape=(SIDE, SIDE, CHANNELS),
    parameters=0,
    aliases={},
    feature_layers=("top",),
    counted_layers=("top",),
    preprocessing=Preprocessing("rgb", (100.0, 110.0, 120.0), (0.02, 0.02, 0.02)),
    build=lambda: None,
    catalogue=(),
)


@pytest.fixture(scope="module", params=["openvino", "tensorflow"])
def opened(request):
    return Network(OpenCnn(FACTS, "windowed", network, network), "float32", "cpu", 1, request.param)


def in_order(again, pixels, fill):
    """Return features of all patches, row by row: each is told once."""
    numbers, features = map(np.concatenate, zip(*again.features(pixels, fill), strict=True))
    assert sorted(numbers) == list(range(len(numbers)))
    return features[np.argsort(numbers)]


def both(opened, layer, pool, patch, corners, memory_bytes=1 << 30):
    """Return features of all patches: computed again, and from the images as they would be."""
    height, width, channels = opened.cnn.input_shape
    random = np.random.default_rng(3)
    pixels = random.integers(0, 256, (height, width, channels), dtype=np.uint8)
    fill = np.array([100, 110, 120], np.uint8)
    again = Again(opened, (layer, pool), patch, corners, memory_bytes)
    found = in_order(again, pixels, fill)
    images = []
    for top, left in product(*corners):
        images.append(pixels.copy())
        images[-1][top : top + patch, left : left + patch] = fill
    wanted = opened.features([layer], pool, np.stack(images))[0]
    return again.levels, found, wanted


@pytest.mark.parametrize(
    ("layer", "pool", "patch", "stride"),
    [
        ("top", "max2x2", 4, 4),
        ("joined", "gem", 3, 7),
        ("block", "gap", 1, 13),
        ("deep", "none", 6, 17),
    ],
)
def test_windows_are_parts_of_the_whole(opened, layer, pool, patch, stride):
    corners = (range(0, SIDE - patch + 1, stride), range(0, SIDE - patch + 1, stride + 1))
    if "TensorFlow" in type(opened.runner).__name__:
        corners = tuple(side[::2] for side in corners)  # a trace of each recipe takes .2 s
    found_levels, found, wanted = both(opened, layer, pool, patch, corners)
    assert found_levels[0].segment.start == "image"
    assert found.shape == wanted.shape
    assert np.ptp(wanted, axis=0).max() > 0
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * np.abs(wanted).max())


def test_networks_of_windows_go_where_their_weights_take_more_than_they_may():
    opened = Network(OpenCnn(FACTS, "windowed", network, network), "float32", "cpu", 1, "openvino")
    corners = (range(0, SIDE - 5, 7), range(0, SIDE - 5, 7))
    most_bytes = 4 * network().weight_bytes
    *_, found, wanted = both(opened, "top", "gap", 6, corners, most_bytes)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * np.abs(wanted).max())
    held = sum(size for _, size in opened._parts.values())
    assert 0 < held <= most_bytes
    *_, again, _ = both(opened, "top", "gap", 6, corners)
    assert sum(size for _, size in opened._parts.values()) > held
    np.testing.assert_array_equal(again, found)


@pytest.mark.parametrize("name", ["residual", "inception", "mobile"])
def test_networks_that_see_all_of_a_map_run_whole_from_there(name):
    opened = toys.lowered(name)
    layer = {"residual": "max", "inception": "relu6", "mobile": "peak"}[name]
    corners = (range(0, 11, 5), range(0, 11, 5))
    found_levels, found, wanted = both(opened, layer, "gap", 2, corners)
    # averages over zeros of a padding, and a squeeze over all of the map, are no windows
    assert all(level.segment.end not in ("joined", "gated") for level in found_levels)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * np.abs(wanted).max())


def test_only_what_a_patch_reaches_is_computed_again():
    graph = network()
    patches = [(i, i + 2) for i in range(0, 39, 2)]
    found = levels(graph, "top", (patches, patches))
    ends = [level.segment.end for level in found]
    assert ends == ["stem_relu", "block", "pool", "mean"]  # then windows are most of the map
    stem, block, *_ = found
    assert {end - start for start, end in stem.windows[0]} == {2}  # windows of 4, every 2
    assert {end - start for start, end in block.windows[0]} == {4}
    # zeros around the image and in the block: at the top, at the bottom, nowhere
    assert len({recipe for recipe, _ in block.placed[0]}) == 3


@given(
    size=st.integers(1, 5),
    stride=st.integers(1, 3),
    before=st.integers(0, 2),
    start=st.integers(0, 19),
    length=st.integers(1, 8),
)
@settings(max_examples=80, deadline=None)
def test_forward_is_what_backward_sees(size, stride, before, start, length):
    side, reach = 20, Reach(size, stride, before, before)
    outputs = (side + 2 * before - size) // stride + 1
    seen = []
    for output in range(outputs):
        first, end = reach.backward((output, output + 1))
        assert end - first == size
        if first < min(start + length, side) and end > start:
            seen.append(output)
    first, end = reach.forward((start, min(start + length, side)), outputs)
    if seen:
        assert (first, end) == (seen[0], seen[-1] + 1)
    else:
        assert end - first == 1  # between strides: computed all the same
