"""The roster against the papers, its networks against Keras, its own layers against NumPy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from vista_sql import roster, weights
from vista_sql.errors import UnknownNameError
from vista_sql.roster.catalogue.entries import entries, multiply_adds
from vista_sql.roster.parts.layers import custom_layers

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
        ("vgg19", "conv5_4", "block5_conv4"),
        ("resnet18", "conv5_2", "conv5_block2_out"),
        ("resnet34", "conv4_6", "conv4_block6_out"),
        ("resnet101", "conv4_23", "conv4_block23_out"),
        ("resnet152", "conv3_8", "conv3_block8_out"),
        ("resnet152", "fc6", "fc1000"),
        ("googlenet", "Inception_3a", "inception_3a"),
        ("googlenet", "conv2", "conv2_relu"),
        ("densenet121", "dense4", "conv5_block16_concat"),
        ("densenet121", "transition1", "pool2_pool"),
        ("mobilenetv2", "bottleneck1", "expanded_conv_project_BN"),
        ("mobilenetv2", "bottleneck2", "block_1_project_BN"),
        ("mobilenetv2", "bottleneck17", "block_16_project_BN"),
        ("mobilenetv2", "bottleneck16", "block_15_add"),
        ("efficientnetb0", "block6d", "block6d_add"),
        ("efficientnetb0", "block7a", "block7a_project_bn"),
        ("convnexttiny", "stage3_9", "convnext_tiny_stage_2_block_8_add"),
        ("convnexttiny", "avg_pool", "convnext_tiny_head_gap"),
        ("convnextbase", "stage3_27", "convnext_base_stage_2_block_26_add"),
        ("resnet50_v1_5", "conv3_1", "conv3_block1_out"),
        ("resnet50v2", "conv1", "conv1_conv"),
        ("resnet50v2", "conv5_3", "conv5_block3_out"),
        ("efficientnetv2b0", "block1a", "block1a_project_activation"),
        ("efficientnetv2b0", "block5a", "block5a_project_bn"),
        ("efficientnetv2s", "block1a", "block1a_add"),
        ("efficientnetv2s", "block6o", "block6o_add"),
        ("mobilenetv3large", "bneck1", "expanded_conv_add"),
        ("mobilenetv3large", "bneck15", "expanded_conv_14_add"),
        ("mobilenetv3small", "bneck9", "expanded_conv_8_project_bn"),
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


# Parameters that training sets (batch statistics are not), as the papers' authors or the publishers
# of the weights state them: torchvision's and Keras's tables; He et al. give none.
TRAINED = {
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "googlenet": 6_624_904,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_583_592,
    "resnet101": 44_601_832,
    "resnet152": 60_268_520,
    "densenet121": 7_978_856,
    "mobilenetv2": 3_504_872,
    "efficientnetb0": 5_288_548,
    "convnexttiny": 28_589_128,
    "convnextsmall": 50_223_688,
    "convnextbase": 88_591_464,
    "resnet50_v1_5": 25_557_032,
    "resnet101_v1_5": 44_549_160,
    "resnet152_v1_5": 60_192_808,
    "resnet50v2": 25_568_360,
    "efficientnetv2s": 21_458_488,
    "mobilenetv3large": 5_483_032,
    "mobilenetv3small": 2_542_856,
}
ALL = {  # with batch statistics, as keras.io's table of applications counts
    "resnet50": 25_636_712,
    "resnet101": 44_707_176,
    "resnet152": 60_419_944,
    "densenet121": 8_062_504,
    "mobilenetv2": 3_538_984,
    "efficientnetb0": 5_330_571,
    "resnet50v2": 25_613_800,
    "efficientnetv2b0": 7_200_312,
    "efficientnetv2s": 21_612_360,
}
MILLIONS = {"vgg16": 138, "vgg19": 144}  # Simonyan & Zisserman, table 2, D and E


def test_parameters_are_those_that_were_published():
    for name, trained in TRAINED.items():
        cnn = roster.load(name)
        # a batch norm has four vectors, two of them statistics
        kept = sum(x.parameters // 2 for x in cnn.layers if "bn" in x.name.lower())
        kept += sum(x.parameters for x in cnn.layers if x.name == "normalization")
        assert cnn.parameters - kept == trained, name
        assert cnn.parameters == ALL.get(name, cnn.parameters), name
    for name, millions in MILLIONS.items():
        assert round(roster.load(name).parameters / 1e6) == millions


def test_googlenet_is_much_smaller_than_alexnet():
    small, large = roster.load("googlenet"), roster.load("alexnet")
    # Szegedy et al., section 1, say 12 times fewer; so it is without the classifier and with the
    # 3 × 3 convolutions that torchvision has for 5 × 5, whole it is 9 times
    classifier = small.layer("fc1000").parameters
    assert large.parameters / (small.parameters - classifier) == pytest.approx(11, abs=0.5)
    assert large.parameters / small.parameters == pytest.approx(9.2, abs=0.1)


# Multiply-adds of one image, in 1e9: (cnn, stated, within, by whom)
OPERATIONS = (
    ("resnet18", 1.8, 0.02, "He et al., table 1"),
    ("resnet34", 3.6, 0.02, "He et al., table 1"),
    ("resnet50", 3.8, 0.02, "He et al., table 1: the stride is in the first convolution"),
    ("resnet101", 7.6, 0.02, "He et al., table 1"),
    ("resnet152", 11.3, 0.02, "He et al., table 1"),
    ("vgg16", 15.5, 0.01, "Simonyan & Zisserman; torchvision states 15.47"),
    ("vgg19", 19.6, 0.01, "Simonyan & Zisserman; torchvision states 19.63"),
    ("googlenet", 1.498, 0.001, "torchvision, GoogLeNet_Weights; the paper: 1.5"),
    ("densenet121", 2.834, 0.001, "torchvision, DenseNet121_Weights"),
    ("mobilenetv2", 0.3, 0.01, "Sandler et al., table 4"),
    ("efficientnetb0", 0.39, 0.02, "Tan & Le, table 2"),
    ("convnexttiny", 4.456, 0.001, "torchvision, ConvNeXt_Tiny_Weights; the paper: 4.5"),
    ("convnextsmall", 8.684, 0.001, "torchvision, ConvNeXt_Small_Weights; the paper: 8.7"),
    ("convnextbase", 15.355, 0.001, "torchvision, ConvNeXt_Base_Weights; the paper: 15.4"),
    ("resnet50_v1_5", 4.089, 0.001, "torchvision, ResNet50_Weights"),
    ("resnet101_v1_5", 7.801, 0.001, "torchvision, ResNet101_Weights"),
    ("resnet152_v1_5", 11.514, 0.001, "torchvision, ResNet152_Weights"),
    ("efficientnetv2b0", 0.7, 0.05, "Tan & Le, google/automl's table"),
    ("efficientnetv2s", 8.366, 0.01, "torchvision, EfficientNet_V2_S_Weights; the paper: 8.8"),
    ("mobilenetv3large", 0.217, 0.01, "torchvision, MobileNet_V3_Large_Weights; the paper: .219"),
    ("mobilenetv3small", 0.057, 0.02, "torchvision, MobileNet_V3_Small_Weights; the paper: .056"),
)


@pytest.mark.parametrize(("cnn", "stated", "within", "source"), OPERATIONS)
def test_operations_are_those_that_were_published(cnn, stated, within, source):
    top = roster.load(cnn).layers[-1]
    assert top.flops / 2e9 == pytest.approx(stated, rel=within), source


SHAPES = {
    "vgg19": {"conv5_4": (14, 14, 512), "fc7": (4096,)},
    "resnet18": {"conv1": (112, 112, 64), "conv2_2": (56, 56, 64), "conv5_2": (7, 7, 512)},
    "resnet34": {"conv4_6": (14, 14, 256), "avg_pool": (512,)},
    "resnet101": {"conv4_23": (14, 14, 1024), "conv5_3": (7, 7, 2048)},
    "resnet152": {"conv3_8": (28, 28, 512), "avg_pool": (2048,)},
    "googlenet": {  # Szegedy et al., table 1: output size
        "conv1": (112, 112, 64),
        "pool1": (56, 56, 64),
        "conv2": (56, 56, 192),
        "inception_3a": (28, 28, 256),
        "inception_3b": (28, 28, 480),
        "inception_4a": (14, 14, 512),
        "inception_4d": (14, 14, 528),
        "inception_4e": (14, 14, 832),
        "inception_5b": (7, 7, 1024),
        "avg_pool": (1024,),
    },
    "densenet121": {
        "dense1": (56, 56, 256),
        "transition1": (28, 28, 128),
        "dense3": (14, 14, 1024),
        "dense4": (7, 7, 1024),
    },
    "mobilenetv2": {
        "bottleneck3": (56, 56, 24),
        "bottleneck13": (14, 14, 96),
        "bottleneck17": (7, 7, 320),
        "out_relu": (7, 7, 1280),
    },
    "efficientnetb0": {"block2b": (56, 56, 24), "block5c": (14, 14, 112), "avg_pool": (1280,)},
    "convnexttiny": {"stem": (56, 56, 96), "stage3_9": (14, 14, 384), "stage4_3": (7, 7, 768)},
    "convnextbase": {"stem": (56, 56, 128), "stage3_27": (14, 14, 512), "norm": (1024,)},
    "resnet50_v1_5": {"conv4_6": (14, 14, 1024), "conv5_3": (7, 7, 2048)},
    "resnet50v2": {"conv2_3": (28, 28, 256), "conv5_3": (7, 7, 2048), "post_relu": (7, 7, 2048)},
    "efficientnetv2b0": {"block5e": (14, 14, 112), "block6h": (7, 7, 192), "avg_pool": (1280,)},
    "efficientnetv2s": {"block3d": (48, 48, 64), "block6o": (12, 12, 256), "avg_pool": (1280,)},
    "mobilenetv3large": {"bneck12": (14, 14, 112), "last_conv": (7, 7, 960), "fc1": (1280,)},
    "mobilenetv3small": {"bneck8": (14, 14, 48), "last_conv": (7, 7, 576), "fc1": (1024,)},
}


@pytest.mark.parametrize("cnn", SHAPES)
def test_shapes_are_those_of_the_papers(cnn):
    for name, shape in SHAPES[cnn].items():
        assert roster.load(cnn).layer(name).shape == shape


def test_a_block_determines_the_layers_above_it():
    for name, block, top in (
        ("googlenet", "inception_4e", "fc1000"),
        ("densenet121", "transition3", "avg_pool"),
        ("convnexttiny", "stage3_9", "fc1000"),
        ("efficientnetb0", "block5c", "avg_pool"),
        ("mobilenetv2", "bottleneck13", "fc1000"),
        ("resnet34", "conv4_6", "fc6"),
    ):
        cnn = roster.load(name)
        assert cnn.determines(cnn.layer(block), cnn.layer(top))
    densenet = roster.load("densenet121")  # a layer inside a dense block is not all that goes on
    inside = densenet.layer("conv5_block3_2_conv")
    assert not densenet.determines(inside, densenet.layer("avg_pool"))


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


@pytest.mark.parametrize("name", [pytest.param("alexnet", marks=pytest.mark.full), "lenet5"])
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
    operations = {layer.name: layer.flops for layer in entries(network)}
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
        image = keras.Input((8, 8, 4))
        assert multiply_adds(layer, image.shape, layer(image).shape) == expected
