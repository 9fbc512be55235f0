"""Users' own networks, in every way that they are put together: each layer as Keras has it."""

from __future__ import annotations

from functools import cache
from itertools import pairwise, permutations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from vista_sql.udfs.network import keras_reader
from vista_sql.udfs.network.networks import Network, open_cnn

from vista_sql import weights
from vista_sql.errors import UnknownNameError, WeightsError
from vista_sql.kernels import InferSpec

# Keras 3.15 reads its own variables so when it saves them; we only read.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

SIDE = 12
RELATIVE = 1e-4  # of a layer's largest value, in float32: folding rounds each weight once more


def backbone(side=SIDE, name="backbone"):
    """Return a network of maps: a convolution with its norm, a sum, an inner Sequential."""
    keras = keras_reader.keras()
    layers = keras.layers
    image = keras.Input((side, side, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(6, name="relu6")(x)
    block = keras.Sequential(
        [layers.DepthwiseConv2D(3, padding="same", name="deep"), layers.Activation("silu")],
        name="block",
    )
    x = keras.ops.relu(x + block(x))
    x = layers.Conv2D(6, 3, strides=2, name="last", activation="relu")(x)
    return keras.Model(image, x, name=name)


def transfer():
    """The usual one: pixels scaled and augmented, a backbone, a head."""
    keras = keras_reader.keras()
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 127.5, -1, name="scale"),
            layers.RandomFlip(name="flip"),
            backbone(),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dense(4, name="top"),
        ]
    )


def of_any_size():
    """A backbone that was made for images of any size, and another in it."""
    keras = keras_reader.keras()
    image = keras.Input((SIDE, SIDE, 3), name="image")
    free = keras.Input((None, None, 3))
    x = backbone(None, "inner")(free / 127.5)
    x = keras.layers.Concatenate(name="joined")([x, 1.0 - x])
    outer = keras.Model(free, x, name="outer")
    x = keras.layers.GlobalMaxPooling2D(name="peak")(outer(image, training=False))
    return keras.Model(image, x)


def twice():
    """An inner network that is called twice, and a layer that is."""
    keras = keras_reader.keras()
    image = keras.Input((SIDE, SIDE, 3))
    shared, tower = keras.layers.Dense(3, name="shared"), backbone()
    left = tower(shared(image / 255.0))
    right = tower(shared(1.0 - image / 255.0))
    x = keras.layers.Concatenate(name="both")([right, left])
    return keras.Model(image, keras.layers.Flatten(name="flat")(x))


def several_outputs():
    """An inner network of two inputs and two outputs."""
    keras = keras_reader.keras()
    layers = keras.layers
    a, b = keras.Input((SIDE, SIDE, 3)), keras.Input((SIDE, SIDE, 3))
    low = layers.Conv2D(4, 3, name="low")(a)
    inner = keras.Model([a, b], [low, layers.Conv2D(4, 3, name="high")(b)], name="pair")
    image = keras.Input((SIDE, SIDE, 3))
    low, high = inner([image, image * 0.5])
    x = layers.Subtract(name="less")([high, low])
    return keras.Model(image, layers.GlobalMaxPooling2D(name="peak")(x))


def operations():
    """Operations that are no layers, of every kind of result."""
    keras = keras_reader.keras()
    ops, layers = keras.ops, keras.layers
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 3, name="conv")(image / 255.0)
    x = x * ops.sigmoid(x) + 1.0
    left, right = ops.split(x, 2, axis=-1)
    x = ops.maximum(left, right) - ops.mean(right, axis=(1, 2), keepdims=True)
    x = ops.transpose(x[:, 1:, ::2], (0, 2, 1, 3))
    x = ops.reshape(x, (-1, 5 * 9, 4))
    best = ops.one_hot(ops.argmax(x, axis=-1), 4)
    x = ops.sum(ops.softmax(x, axis=1) * best, axis=1)
    scalar = ops.logsumexp(x, axis=-1)
    return keras.Model(image, layers.Dense(3, name="top")(x * ops.expand_dims(scalar, -1)))


NETWORKS = {
    one.__name__: one for one in (transfer, of_any_size, twice, several_outputs, operations)
}
every = pytest.mark.parametrize("name", NETWORKS)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Return of a name Keras's network and ours, read from the file that Keras wrote."""
    folder = tmp_path_factory.mktemp("networks")

    @cache
    def read(name):
        model, path = NETWORKS[name](), str(folder / f"{name}.keras")
        model.save(path)
        return model, Network(open_cnn(InferSpec(path, ())), "float32", "cpu")

    return read


def pixels(n):
    return np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)


def by_keras(model, name, values):
    """Return what Keras computes for a layer: a network up to it, within the network it is in."""
    keras = keras_reader.keras()
    head, _, rest = name.partition("/")
    called, _, number = head.partition("#")
    by_depth = (getattr(model, "_functional", None) or model)._nodes_by_depth
    nodes = [node for depth in by_depth.values() for node in depth if node.operation.name == called]
    node = sorted(nodes, key=lambda one: one.operation._inbound_nodes.index(one))[int(number or 0)]
    tensors = node.input_tensors if rest else list(node.outputs)
    found = keras.Model(model.inputs, list(tensors))(values, training=False)
    found = [np.asarray(one) for one in keras.tree.flatten(found)]
    return by_keras(node.operation, rest, found) if rest else found[0]


@every
def test_every_layer_equals_kerass(opened, name):
    model, ours = opened(name)
    images = pixels(3)
    layers = [layer.name for layer in ours.cnn.layers]
    assert len(layers) > 3
    for layer, found in zip(layers, ours.features(layers, "none", images), strict=True):
        values = by_keras(model, layer, [images.astype(np.float32)]).reshape(3, -1)
        assert np.abs(found - values).max() <= RELATIVE * np.abs(values).max(), layer
        assert found.shape[1] == ours.cnn.layer(layer).size == ours.size(layer)


@every
def test_layers_from_stored_maps_have_the_same_bits(opened, name):
    _, ours = opened(name)
    images = pixels(5)
    layers = [layer.name for layer in ours.cnn.layers]
    whole = dict(zip(layers, ours.features(layers, "none", images), strict=True))
    pairs = {*pairwise(layers), *((layer, layers[-1]) for layer in layers[:-1])}
    legal = [pair for pair in pairs if ours.graph.reachable(*pair)]
    assert legal
    for start, layer in legal:
        (values,) = ours.resume(start, [layer], "none", whole[start])
        assert_array_equal(values, whole[layer], f"{layer} from {start}")


@every
def test_plans_start_where_kernels_do(opened, name):
    _, ours = opened(name)
    for start, layer in permutations(ours.cnn.layers, 2):
        reachable = ours.graph.reachable(start.name, layer.name)
        assert ours.cnn.determines(start, layer) == reachable, (start.name, layer.name)


@every
def test_neighbours_change_no_bit(opened, name):
    _, ours = opened(name)
    images = pixels(20)
    layers = [layer.name for layer in ours.cnn.layers]
    whole = ours.features(layers, "none", images)
    for rows in (slice(0, 1), slice(3, 8)):
        for layer, one, all_ in zip(
            layers, ours.features(layers, "none", images[rows]), whole, strict=True
        ):
            assert_array_equal(one, all_[rows], layer)


@every
def test_random_weights_fill_networks_within(opened, name):
    model, ours = opened(name)
    network = weights.load_network(ours.cnn, weights.resolve(ours.cnn, "random", seed=1))
    for mine, other in zip(network.weights, model.weights, strict=True):
        if len(mine.shape) > 1 or mine.name == "moving_variance":
            assert not np.array_equal(mine, other), mine.path


def test_names_are_the_files(opened, tmp_path):
    model, ours = opened("operations")
    again = keras_reader.keras().saving.load_model(ours.cnn.name)  # Keras counts names on
    again.save(tmp_path / "again.keras")
    names = [layer.name for layer in weights.from_keras_file(str(tmp_path / "again.keras")).layers]
    assert names == [layer.name for layer in ours.cnn.layers]
    assert set(names) <= {operation.name for operation in model.operations}


def test_layers_within_have_their_place_and_price(opened):
    _, ours = opened("transfer")
    cnn = ours.cnn
    assert cnn.feature_layers == cnn.counted_layers == ("backbone", "top")
    deep, whole = cnn.layer("backbone/block/deep"), cnn.layer("backbone")
    conv = 2 * SIDE * SIDE * 9 * 3 * 8
    assert (deep.shape, deep.flops) == ((SIDE, SIDE, 8), conv + 2 * SIDE * SIDE * 9 * 8)
    assert (deep.parameters, whole.parameters) == (9 * 8 + 8, 216 + 32 + 80 + 438)
    assert cnn.determines(deep, whole) is False  # a sum goes around it
    assert cnn.determines(cnn.layer("backbone/relu6"), cnn.layer("top"))
    with pytest.raises(UnknownNameError, match="did you mean 'backbone/block/deep'"):
        cnn.layer("deep")


def test_further_calls_are_numbered(opened):
    _, ours = opened("twice")
    assert ours.cnn.counted_layers == ("shared", "backbone")
    images = pixels(2)
    first, second = ours.features(["backbone/last", "backbone#1/last"], "none", images)
    assert not np.array_equal(first, second)
    with pytest.raises(UnknownNameError, match="did you mean 'backbone#1/last'"):
        ours.cnn.layer("backbone_1/last")


def saved(path, use):
    keras = keras_reader.keras()
    image = keras.Input((SIDE, SIDE, 3))
    keras.Model(image, use(keras.ops, image)).save(path)
    return str(path)


MIXING = {
    "mean": lambda ops, x: x - ops.mean(x),
    "mean_over_images": lambda ops, x: x - ops.mean(x, axis=0, keepdims=True),
    "flip": lambda ops, x: ops.flip(x, axis=0),
    "roll": lambda ops, x: ops.roll(x, 1, axis=0),
    "softmax": lambda ops, x: ops.softmax(x, axis=0),
    "einsum": lambda ops, x: ops.einsum("abcd,ebcd->abcd", x, x),
    "reshape": lambda ops, x: ops.reshape(x, (-1, SIDE, 3)),
    "get_item": lambda ops, x: x[::-1, :],
    "add": lambda ops, x: x + np.ones((4, 1, 1, 1), np.float32),
    "layer": lambda _, x: keras_reader.keras().layers.Concatenate(axis=0, name="layer")([x, x]),
}


@pytest.mark.parametrize("name", MIXING)
def test_operations_over_the_images_of_a_batch_are_refused_by_name(name, tmp_path):
    path = saved(tmp_path / "mixing.keras", MIXING[name])
    operation = name.partition("_over")[0]
    with pytest.raises(WeightsError, match=rf"'{operation}(_\d+)?' computes over the images"):
        weights.from_keras_file(path)


def test_integers_are_no_layers(tmp_path):
    path = saved(tmp_path / "whole.keras", lambda ops, x: ops.argmax(x, axis=-1))
    with pytest.raises(WeightsError, match="no layer that returns one tensor of floats"):
        weights.from_keras_file(path)


def test_networks_of_a_class_of_their_own_say_so(tmp_path):
    keras = keras_reader.keras()

    class Own(keras.Model):
        def __init__(self, **config):
            super().__init__(**config)
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Own()
    model(np.zeros((1, SIDE, SIDE, 3), np.float32))
    model.save(tmp_path / "own.keras")
    with pytest.raises(WeightsError, match="cannot be loaded as a Keras network"):
        weights.from_keras_file(str(tmp_path / "own.keras"))
