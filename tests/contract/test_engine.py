"""Every engine computes what a network says, and a row's bits depend on nothing but the row."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, pairwise

import described
import numpy as np
import pytest
import toys
from numpy.testing import assert_array_equal
from processors import DTYPES, needs_bfloat16
from vista_sql.udfs.network import engine, keras_reader
from vista_sql.udfs.network.networks import Network, OpenCnn

from vista_sql import catalog, roster, weights
from vista_sql.errors import PlanError, SettingError, UnknownNameError
from vista_sql.kernels import POOLS

ENGINES = catalog.names(engine.PACKAGE)
RELATIVE = 1e-4  # of a layer's largest value, in float32: folding rounds each weight once more
HALF = 0.1  # … in bfloat16
ALWAYS = ("lenet5", "mobilenetv2")  # the small ones: plain, depthwise …
BRANCHING = ("openvino", "googlenet")  # … and of TensorFlow a toy, in tests/property/test_bits.py


def is_spared(name, cnn):
    return cnn not in ALWAYS and (name, cnn) != BRANCHING


every_engine = pytest.mark.parametrize("name", ENGINES)


def differ(values, expected):
    """The largest difference, as a part of the largest value."""
    return np.abs(values - expected).max() / np.abs(expected).max()


# ── what an engine says of itself ───────────────────────────────────────────────────────────────


@every_engine
def test_an_engine_has_the_name_of_its_folder(name):
    assert engine.load(name).name == name


def test_unknown_engines_are_named():
    with pytest.raises(UnknownNameError, match="'tensorfow'; did you mean 'tensorflow'"):
        engine.load("tensorfow")


@every_engine
def test_an_identity_is_one_line_with_a_version(name):
    identity = engine.load(name).identity()
    assert identity == engine.load(name).identity()
    assert name in identity
    assert any(character.isdigit() for character in identity)
    assert identity.isprintable()


# ── a network as data ───────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module", params=ENGINES)
def small(request):
    """A network that was read from no framework, open in an engine."""
    opened = OpenCnn(described.CNN, "described", described.graph)
    return Network(opened, "float32", "cpu", engine_name=request.param)


LAYERS = list(described.by_numpy(described.pixels(1)))


def test_every_layer_of_a_network_as_data_is_computed(small):
    images = described.pixels(6)
    expected = described.by_numpy(images)
    for layer, values in zip(LAYERS, small.features(LAYERS, "none", images), strict=True):
        assert isinstance(values, np.ndarray)
        assert (values.dtype, values.shape) == (np.float32, expected[layer].shape)
        assert differ(values, expected[layer]) <= RELATIVE, layer


@needs_bfloat16
@every_engine
def test_bfloat16_is_another_arithmetic_and_near(name):
    opened = OpenCnn(described.CNN, "described", described.graph)
    images = described.pixels(6)
    found = Network(opened, "bfloat16", "cpu", engine_name=name).features(["top"], "none", images)
    assert found[0].dtype == np.float32
    assert 0 < differ(found[0], described.by_numpy(images)["top"]) <= HALF


def test_bits_depend_on_no_other_row_and_no_other_layer(small):
    images = described.pixels(33)
    whole = dict(zip(LAYERS, small.features(LAYERS, "none", images), strict=True))
    for rows in ([0], [32], [5, 4, 3], list(range(17)), [1] * 8):
        for layers in ([LAYERS[-1]], LAYERS[::2], LAYERS):
            for layer, values in zip(
                layers, small.features(layers, "none", images[rows]), strict=True
            ):
                assert_array_equal(values, whole[layer][rows], layer)


def test_bits_depend_on_no_start(small):
    images = described.pixels(5)
    whole = dict(zip(LAYERS, small.features(LAYERS, "none", images), strict=True))
    pairs = [pair for pair in combinations(LAYERS, 2) if small.graph.reachable(*pair)]
    assert len(pairs) > 10
    for start, layer in pairs:
        (values,) = small.resume(start, [layer], "none", whole[start])
        assert_array_equal(values, whole[layer], f"{layer} from {start}")


def test_threads_that_call_at_once_get_their_own_rows(small):
    images = described.pixels(16)
    (expected,) = small.features(["top"], "none", images)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: small.features(["top"], "none", images[[i]])[0], range(16)))
    assert_array_equal(np.concatenate(found), expected)


def test_poolings_of_a_layer_come_from_one_pass(small):
    outputs = [("relu6", pool) for pool in POOLS]
    found = dict(zip(POOLS, small.run(None, outputs, described.pixels(4)), strict=True))
    maps = found["none"].reshape(4, described.SIDE, described.SIDE, described.FILTERS)
    assert_array_equal(found["gmp"], maps.max((1, 2)))
    assert found["max2x2"].shape == (4, 4 * described.FILTERS)
    for pool, matrix in found.items():
        (again,) = small.resume("relu6", ["relu6"], pool, found["none"])
        assert_array_equal(again, matrix, pool)


def test_micro_batches_have_a_length(small):
    assert small.batch_rows >= 1
    assert not small.on_gpu
    assert len(small.features(["top"], "none", described.pixels(3 * small.batch_rows + 1))[0]) == (
        3 * small.batch_rows + 1
    )


@every_engine
def test_what_an_engine_cannot_do_is_named(name):
    opened = OpenCnn(described.CNN, "described", described.graph)
    with pytest.raises(SettingError, match="device 'tpu'"):
        Network(opened, "float32", "tpu", engine_name=name)
    network = Network(opened, "float32", "cpu", engine_name=name)
    with pytest.raises(PlanError, match="start from 'relu'"):
        network.resume("high", ["top"], "none", np.zeros((1, 7 * 7 * 8), np.float32))


# ── the roster ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            (name, cnn),
            marks=pytest.mark.full if is_spared(name, cnn) else (),
            id=f"{name}-{cnn}",
        )
        for name in ENGINES
        for cnn in roster.names()
    ],
)
def loaded(request):
    """A CNN as (facts, Keras network, an engine's, uint8 images), one at a time in memory."""
    name, cnn = request.param[0], roster.load(request.param[1])
    network = weights.load_network(cnn, weights.resolve(cnn, "random", seed=5))
    unsettle_batch_norms(network)
    opened = OpenCnn(cnn, "unsettled", lambda: keras_reader.read(network))
    ours = Network(opened, "float32", "cpu", engine_name=name)
    random = np.random.default_rng(3)
    yield cnn, network, ours, random.integers(0, 256, (3, *cnn.input_shape), dtype=np.uint8)
    opened = ours = network = None
    gc.collect()


@pytest.fixture(params=DTYPES)
def arithmetic(loaded, request):
    """The CNN of `loaded` in an arithmetic."""
    cnn, network, ours, _ = loaded
    if request.param == "float32":
        return ours
    opened = OpenCnn(cnn, "unsettled", lambda: keras_reader.read(network))
    return Network(
        opened, request.param, "cpu", engine_name=request.node.callspec.params["loaded"][0]
    )


def unsettle_batch_norms(network):
    """Give batch norms statistics that folding must not lose; fresh ones are 0 and 1."""
    random = np.random.default_rng(1)
    for layer in network.layers:
        if type(layer).__name__ == "BatchNormalization":
            for variable in layer.weights:
                around = 1 if variable.name in ("gamma", "moving_variance") else 0
                variable.assign(around + random.uniform(-0.2, 0.2, variable.shape))


def test_every_feature_layer_equals_keras(loaded):
    keras = keras_reader.keras()
    cnn, network, ours, images = loaded
    layers = toys.feature_layers(cnn)
    mean, scale = (np.float32(one) for one in (cnn.preprocessing.mean, cnn.preprocessing.scale))
    model = keras.Model(network.input, [network.get_layer(layer).output for layer in layers])
    expected = [np.asarray(one).reshape(len(images), -1) for one in model((images - mean) * scale)]
    found = ours.features(layers, "none", images)
    for layer, values, other in zip(layers, found, expected, strict=True):
        assert np.std(other) > 0, layer
        assert differ(values, other) <= RELATIVE, layer


def check_pairs(loaded, pairs):
    """Compare layers from a stored map with those from the image, bit by bit."""
    cnn, _, ours, images = loaded
    layers = toys.feature_layers(cnn)
    whole = dict(zip(layers, ours.features(layers, "none", images), strict=True))
    legal = [pair for pair in pairs(layers) if ours.graph.reachable(*pair)]
    assert len(legal) >= len(layers) - 2
    for start, layer in legal:
        (values,) = ours.resume(start, [layer], "none", whole[start])
        assert_array_equal(values, whole[layer], f"{layer} from {start}")


def test_adjacent_feature_layers_from_each_others_maps(loaded):
    check_pairs(loaded, pairwise)


def test_bits_depend_on_nothing_asked_beside(loaded, arithmetic):
    """In both arithmetics: not on the highest layer, the poolings, the start, the rows beside."""
    cnn, _, _, images = loaded
    layers = toys.feature_layers(cnn)
    rows = np.concatenate([images, images[::-1]])
    everything = [(layer, pool) for layer in layers for pool in ("max2x2", "none")]
    whole = dict(zip(everything, arithmetic.run(None, everything, images), strict=True))
    for top in (0, len(layers) // 2, len(layers) - 1):
        wanted = [(layer, "max2x2") for layer in layers[: top + 1]]
        for output, values in zip(wanted, arithmetic.run(None, wanted, rows), strict=True):
            assert_array_equal(values[: len(images)], whole[output], str(output))
        start = layers[top]
        above = [pair for pair in everything if arithmetic.graph.reachable(start, pair[0])]
        found = arithmetic.run(start, above, whole[start, "none"])
        for output, values in zip(above, found, strict=True):
            assert_array_equal(values, whole[output], f"{output} from {start}")


@needs_bfloat16
@every_engine
def test_bits_do_not_depend_on_a_start_that_is_no_feature_layer(name):
    cnn = roster.load("resnet18")
    network = weights.load_network(cnn, weights.resolve(cnn, "random"))
    opened = OpenCnn(cnn, "resnet18", lambda: keras_reader.read(network))
    ours = Network(opened, "bfloat16", "cpu", engine_name=name)
    images = np.random.default_rng(0).integers(0, 256, (5, *cnn.input_shape), dtype=np.uint8)
    start, wanted = "conv4_block1_out", [("avg_pool", "gap"), ("fc1000", "gap")]
    assert start not in toys.feature_layers(cnn)
    maps, *whole = ours.run(None, [(start, "none"), *wanted], images)
    for top in range(len(wanted)):
        found = ours.run(start, wanted[: top + 1], maps)
        for values, expected in zip(found, whole[: top + 1], strict=True):
            assert_array_equal(values, expected)


@pytest.mark.full
def test_all_feature_layers_from_each_others_maps(loaded):
    check_pairs(loaded, lambda layers: combinations(layers, 2))
