"""The roster against the papers, its networks against Keras, its own layers against NumPy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vista_sql import roster, weights
from vista_sql.errors import UnknownNameError
from vista_sql.roster._layers import custom_layers
from vista_sql.roster._measure import measure, multiply_adds

# Vista's table of layers: (cnn, the paper's name, index from the top, shape, bytes per image)
VISTA_LAYERS = (
    ("alexnet", "conv4", -5, (13, 13, 384), 259_584),
    ("alexnet", "conv5", -4, (13, 13, 256), 173_056),
    ("alexnet", "fc6", -3, (4096,), 16_384),
    ("alexnet", "fc7", -2, (4096,), 16_384),
    ("alexnet", "fc8", -1, (1000,), 4_000),
    ("vgg16", "conv5_3", -4, (14, 14, 512), 401_408),
    ("vgg16", "fc6", -3, (4096,), 16_384),
    ("vgg16", "fc7", -2, (4096,), 16_384),
    ("vgg16", "fc8", -1, (1000,), 4_000),
    ("resnet50", "conv4_6", -5, (14, 14, 1024), 802_816),
    ("resnet50", "conv5_1", -4, (7, 7, 2048), 401_408),
    ("resnet50", "conv5_2", -3, (7, 7, 2048), 401_408),
    ("resnet50", "conv5_3", -2, (7, 7, 2048), 401_408),
    ("resnet50", "fc6", -1, (1000,), 4_000),
)


@pytest.mark.parametrize(("cnn", "name", "index", "shape", "n_bytes"), VISTA_LAYERS)
def test_layers_are_those_of_the_vista_paper(cnn, name, index, shape, n_bytes):
    facts = roster.load(cnn)
    assert facts.counted_layers[index] == name
    assert facts.layer(name).shape == shape
    assert facts.layer(name).size * 4 == n_bytes


@pytest.mark.parametrize(
    ("cnn", "name", "own"),
    [
        ("resnet50", "conv4_6", "conv4_block6_out"),
        ("resnet50", "conv2_1", "conv2_block1_out"),
        ("resnet50", "FC6", "fc1000"),
        ("resnet50", "avg_pool", "avg_pool"),
        ("vgg16", "conv5_3", "block5_conv3"),
        ("vgg16", "fc6", "fc1"),
        ("vgg16", "fc8", "fc8"),
        ("lenet5", "conv3", "c5"),
        ("lenet5", "fc6", "f6"),
    ],
)
def test_the_papers_names_lead_to_the_networks(cnn, name, own):
    assert roster.load(cnn).canonical(name) == own


def test_offered_layers():
    assert roster.load("resnet50").feature_layers == (
        *("conv4_6", "conv5_1", "conv5_2", "conv5_3"),
        *("avg_pool", "fc6"),
    )
    assert roster.load("vgg16").feature_layers == ("conv5_3", "fc6", "fc7", "fc8")
    assert roster.load("alexnet").feature_layers == ("conv5", "fc6", "fc7", "fc8")
    assert roster.load("lenet5").feature_layers == ("conv2", "pool2", "conv3", "fc6")


def test_lenet5_has_the_papers_parameters():
    layers = {layer.name: layer.parameters for layer in roster.load("lenet5").layers}
    papers = {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5_map": 48_120, "f6": 10_164}
    assert papers.items() <= layers.items()
    assert sum(papers.values()) == 60_000  # LeCun et al., section II.B


def test_alexnet_has_the_papers_neurons_and_operations():
    cnn = roster.load("alexnet")
    neurons = [cnn.layer(f"conv{i}").size for i in range(2, 6)]
    assert neurons == [186_624, 64_896, 64_896, 43_264]  # Krizhevsky et al., section 3.5
    # Vista's technical report, 4.2.1: 721 and 725 million multiply-adds, within its rounding
    assert cnn.layer("fc7").flops / 2 == pytest.approx(721e6, rel=2e-3)
    assert cnn.layer("fc8").flops / 2 == pytest.approx(725e6, rel=2e-3)


def test_operations_are_those_of_the_papers():
    # He et al., table 1: 3.8e9 multiply-adds in ResNet50 with the stride in the first convolution
    assert roster.load("resnet50").layer("fc6").flops / 2 == pytest.approx(3.8e9, rel=0.02)
    assert roster.load("vgg16").layer("fc8").flops / 2 == pytest.approx(15.5e9, rel=0.01)


def test_an_unknown_cnn_or_layer_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'resnet50'"):
        roster.load("resnet5O")
    with pytest.raises(UnknownNameError, match=r"in cnn 'vgg16'; did you mean 'conv5_3'"):
        roster.load("vgg16").canonical("conv53")


def test_facts_need_no_tensorflow():
    script = (
        "import sys; from vista_sql import roster, weights;"
        "[cnn.layers for cnn in map(roster.load, roster.names())];"
        "weights.resolve(roster.load('lenet5')); weights.available(roster.load('vgg16'));"
        "print(sorted({'tensorflow', 'keras', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["VGG16", "ResNet50"])
def test_networks_equal_keras_applications(name):
    import keras

    cnn = roster.load(name)
    theirs = getattr(keras.applications, name)(weights=None)
    ours = weights.load_network(cnn, weights.resolve(cnn, "random", seed=3))
    _vary_vectors(ours)
    assert [layer.name for layer in ours.layers[1:-2]] == [x.name for x in theirs.layers[1:-1]]
    for layer, other in zip(ours.layers[1:-2], theirs.layers[1:-1], strict=True):
        assert layer.get_config() == other.get_config()
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        other.assign(mine)
    pixels = np.random.default_rng(0).normal(0, 60, (1, *cnn.input_shape)).astype(np.float32)
    own = [cnn.canonical(layer) for layer in cnn.feature_layers[:-1]]
    our_tops = [ours.get_layer(layer).output for layer in (*own, "predictions")]
    their_tops = [theirs.get_layer(layer).output for layer in (*own, "predictions")]
    got = keras.Model(ours.input, our_tops)(pixels)
    expected = keras.Model(theirs.input, their_tops)(pixels)
    for mine, other in zip(got, expected, strict=True):
        # float32, and the same operations in another graph
        assert_allclose(mine, other, rtol=1e-4, atol=1e-4 * float(np.max(np.abs(other))))


def test_local_response_norm_equals_its_formula():
    layer = custom_layers().LocalResponseNorm(radius=2, bias=2.0, alpha=1e-2, beta=0.75)
    x = np.random.default_rng(0).normal(0, 5, (2, 3, 3, 7)).astype(np.float32)
    squares = np.stack([np.sum(x[..., max(0, c - 2) : c + 3] ** 2, -1) for c in range(7)], -1)
    assert_allclose(layer(x), x / (2 + 1e-2 * squares) ** 0.75, rtol=1e-5)  # float32


def test_a_grouped_convolution_is_two_convolutions_side_by_side():
    import keras

    layer = custom_layers().GroupedConv2D(6, 3, padding="same", groups=2)
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 4)).astype(np.float32)
    got = layer(x)
    halves = [
        keras.ops.conv(
            x[..., i * 2 : i * 2 + 2], layer.kernel[..., i * 3 : i * 3 + 3], padding="same"
        )
        for i in range(2)
    ]
    assert_allclose(got, np.concatenate(halves, -1), rtol=1e-5, atol=1e-6)  # float32


def test_subsampling_is_trainable_and_partial_convolution_skips_maps():
    custom = custom_layers()
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    pool = custom.Subsampling()
    pool.build(x.shape)
    pool.set_weights([np.float32([0.1, 0.2, 0.3]), np.float32([1, 2, 3])])
    total = x.reshape(2, 2, 2, 2, 2, 3).sum((2, 4))
    expected = np.tanh(total * np.float32([0.1, 0.2, 0.3]) + np.float32([1, 2, 3]))
    assert_allclose(pool(x), expected, rtol=1e-5)  # float32
    partial = custom.PartialConv2D(3, [[0, 2], [1]])
    before = np.asarray(partial(x))
    x[..., 1] += 1
    after = np.asarray(partial(x))
    assert_array_equal(before[..., 0], after[..., 0])
    assert not np.array_equal(before[..., 1], after[..., 1])
    assert before.shape == (2, 2, 2, 2)
    assert partial.count_params() == 3 * 3 * 3 + 2


@pytest.mark.parametrize("name", ["alexnet", "lenet5"])
def test_networks_run_in_bfloat16_too(name):
    import keras

    cnn = roster.load(name)
    exact = weights.load_network(cnn, weights.resolve(cnn, "random"))
    keras.config.set_dtype_policy("bfloat16")
    try:
        rough = cnn.build()
    finally:
        keras.config.set_dtype_policy("float32")
    for mine, other in zip(rough.weights, exact.weights, strict=True):
        mine.assign(other)
    pixels = np.random.default_rng(0).normal(0, 1, (2, *cnn.input_shape)).astype(np.float32)
    layer = cnn.canonical("fc6")
    got, expected = (
        np.asarray(keras.Model(net.input, net.get_layer(layer).output)(pixels), np.float32)
        for net in (rough, exact)
    )
    # bfloat16 keeps 8 bits; the errors of up to 8 layers add up
    assert np.abs(got - expected).max() < 0.05 * np.abs(expected).max()


def test_operations_count_only_what_lies_below_a_layer():
    import keras

    image = keras.Input((8, 8, 4))
    left = keras.layers.Conv2D(6, 3, padding="same", name="left")(image)
    right = keras.layers.Conv2D(6, 1, groups=2, name="right")(image)
    both = keras.layers.Add(name="both")([left, right])
    flat = keras.layers.Flatten(name="flat")(both)
    network = keras.Model(image, keras.layers.Dense(5, name="top")(flat))
    operations = {layer.name: layer.flops for layer in measure(network)}
    of_left, of_right = 2 * 64 * 9 * 4 * 6, 2 * 64 * 2 * 6
    assert operations == {
        "left": of_left,
        "right": of_right,
        "both": of_left + of_right,
        "flat": of_left + of_right,
        "top": of_left + of_right + 2 * 8 * 8 * 6 * 5,
    }


def test_operations_of_the_other_convolutions():
    import keras
    from keras import layers

    for layer, expected in (
        (layers.DepthwiseConv2D(3, strides=2), 3 * 3 * 9 * 4),
        (layers.SeparableConv2D(6, 3), 6 * 6 * (9 * 4 + 4 * 6)),
        (layers.Conv2DTranspose(6, 2, strides=2), 8 * 8 * 4 * 4 * 6),
        (keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(2, 1)]), 8 * 8 * 4 * 2),
    ):
        layer(keras.Input((8, 8, 4)))
        assert multiply_adds(layer) == expected


def _vary_vectors(network):
    """Give biases and batch statistics values of their own, so that no two could be swapped."""
    random = np.random.default_rng(1)
    for variable in network.weights:
        if len(variable.shape) == 1:
            variable.assign(random.uniform(0.8, 1.2, variable.shape))
