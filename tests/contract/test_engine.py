"""Every CNN of the roster, as the engine runs it, computes what Keras does with its weights."""

from __future__ import annotations

import gc
from itertools import combinations, pairwise

import numpy as np
import pytest
import toys
from numpy.testing import assert_array_equal
from vista_sql.udfs.network import tensorflow
from vista_sql.udfs.network.networks import Network, OpenCnn

from vista_sql import roster, weights

RELATIVE = 1e-4  # of a layer's largest value, in float32: folding rounds each weight once more
ALWAYS = ("lenet5", "googlenet", "mobilenetv2")  # the small ones: plain, branching, depthwise


@pytest.fixture(
    scope="module",
    params=[n if n in ALWAYS else pytest.param(n, marks=pytest.mark.full) for n in roster.names()],
)
def engine(request):
    """A CNN as (facts, Keras network, the engine's, uint8 images), one at a time in memory."""
    cnn = roster.load(request.param)
    network = weights.load_network(cnn, weights.resolve(cnn, "random", seed=5))
    unsettle_batch_norms(network)
    opened = OpenCnn(cnn, "random", lambda: network)
    ours = tensorflow.on_thread(Network, opened, "float32", "cpu")
    random = np.random.default_rng(3)
    yield cnn, network, ours, random.integers(0, 256, (3, *cnn.input_shape), dtype=np.uint8)
    opened = ours = network = None
    gc.collect()


def unsettle_batch_norms(network):
    """Give batch norms statistics that folding must not lose; fresh ones are 0 and 1."""
    random = np.random.default_rng(1)
    for layer in network.layers:
        if type(layer).__name__ == "BatchNormalization":
            for variable in layer.weights:
                around = 1 if variable.name in ("gamma", "moving_variance") else 0
                variable.assign(around + random.uniform(-0.2, 0.2, variable.shape))


def test_every_feature_layer_equals_keras(engine):
    _, keras = tensorflow.load()
    cnn, network, ours, images = engine
    layers = toys.feature_layers(cnn)
    mean, scale = (np.float32(one) for one in (cnn.preprocessing.mean, cnn.preprocessing.scale))
    model = keras.Model(network.input, [network.get_layer(layer).output for layer in layers])
    expected = [np.asarray(one).reshape(len(images), -1) for one in model((images - mean) * scale)]
    found = ours.features(layers, "none", images)
    for layer, values, other in zip(layers, found, expected, strict=True):
        assert np.std(other) > 0, layer
        assert np.abs(values - other).max() <= RELATIVE * np.abs(other).max(), layer


def check_pairs(engine, pairs):
    """Compare layers from a stored map with those from the image, bit by bit."""
    cnn, _, ours, images = engine
    layers = toys.feature_layers(cnn)
    whole = dict(zip(layers, ours.features(layers, "none", images), strict=True))
    legal = [pair for pair in pairs(layers) if ours._graph.reachable(*pair)]
    assert len(legal) >= len(layers) - 2
    for start, layer in legal:
        (values,) = ours.resume(start, [layer], "none", whole[start])
        assert_array_equal(values, whole[layer], f"{layer} from {start}")


def test_adjacent_feature_layers_from_each_others_maps(engine):
    check_pairs(engine, pairwise)


@pytest.mark.full
def test_all_feature_layers_from_each_others_maps(engine):
    check_pairs(engine, lambda layers: combinations(layers, 2))
