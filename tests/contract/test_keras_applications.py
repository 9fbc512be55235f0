"""The roster's networks against those of keras.applications: the same names, files and values."""

from __future__ import annotations

import gc
import importlib
import inspect
import re
from functools import cache, lru_cache
from itertools import product

import numpy as np
import pytest
from keras_files import write_old_format
from loading import load
from numpy.testing import assert_allclose, assert_array_equal

from vista_sql import roster
from vista_sql.errors import WeightsError

# Keras 3.15 reads its own variables so when it saves them; we only read.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

APPLICATIONS = {  # our name → Keras's
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "resnet152": "ResNet152",
    "densenet121": "DenseNet121",
    "mobilenetv2": "MobileNetV2",
    "efficientnetb0": "EfficientNetB0",
    "convnexttiny": "ConvNeXtTiny",
    "convnextsmall": "ConvNeXtSmall",
    "convnextbase": "ConvNeXtBase",
    "efficientnetv2b0": "EfficientNetV2B0",
    "efficientnetv2s": "EfficientNetV2S",
    "mobilenetv3large": "MobileNetV3Large",
    "mobilenetv3small": "MobileNetV3Small",
    "resnet50v2": "ResNet50V2",
}
LARGE = (  # VGG16's files have 553 MB each; or a smaller one is built by the same code
    *("vgg16", "vgg19", "resnet101", "resnet152", "resnet50v2", "convnextsmall", "convnextbase"),
    *("efficientnetv2b0", "efficientnetv2s", "mobilenetv3large"),
)
ALWAYS = ("resnet50", "mobilenetv2", "convnexttiny")
"""Plain, depthwise, and with networks inside. Of the others, .ci/run compares with Keras what
tests/contract/test_cnn.py does: what is committed of a network with what is built."""
applications = pytest.mark.parametrize(
    "name", [n if n in ALWAYS else pytest.param(n, marks=pytest.mark.full) for n in APPLICATIONS]
)
BUILT_HERE = ("efficientnet", "convnext", "mobilenetv3")  # beginnings of names


def application(name):
    """Return Keras's network, with random kernels and no two vectors alike."""
    return (_large if name in LARGE else _small)(name)


def _build(name):
    import keras

    gc.collect()
    keras.utils.clear_session()  # layers without names are counted on from those of other tests
    network = getattr(keras.applications, APPLICATIONS[name])(weights=None)
    random = np.random.default_rng(1)
    for variable in network.weights:
        shape = tuple(variable.shape)
        if len(shape) > 1:
            fan_in = np.prod(shape[:2] if "depthwise" in variable.path else shape[:-1])
            variable.assign(random.uniform(-1, 1, shape) * (3 / fan_in) ** 0.5)
        elif shape:
            variable.assign(random.uniform(0.8, 1.2, shape))
    for layer in network.layers:
        if finish := getattr(layer, "finalize_state", None):
            finish()
    return network


_small, _large = cache(_build), lru_cache(maxsize=1)(_build)  # of large ones, memory takes one


def assert_same_weights(network, expected):
    for mine, other in zip(network.weights, expected.weights, strict=True):
        # a depthwise kernel is saved as a grouped one: the same values in the same order
        assert_array_equal(np.asarray(mine).ravel(), np.asarray(other).ravel())


@applications
def test_networks_have_the_layers_of_keras(name):
    ours, theirs = roster.load(name).build(), application(name)
    own = {layer.name: layer for layer in ours.layers}
    if not name.startswith(BUILT_HERE):
        # numbered through the process
        unnamed = ("zero_padding2d", "global_average_pooling2d", "max_pooling2d")
        names = [x.name for x in theirs.layers[1:-1] if not x.name.startswith(unnamed)]
        assert [n for n in own if n in set(names)] == names
    for other in theirs.layers[1:-1]:
        if (mine := own.get(other.name)) is not None and type(mine) is type(other):
            config, expected = mine.get_config(), other.get_config()
            for key in ("kernel_initializer", "depthwise_initializer", "layers"):
                config.pop(key, None)  # of training, and of networks inside
                expected.pop(key, None)
            assert config == expected
    learned = [type(x).__name__ for x in theirs.layers if x.weights]
    mine = [type(x).__name__ for x in ours.layers if x.weights]
    replaced = {"DepthwiseConv2D": "Conv2D"} if name.startswith("convnext") else {}
    assert [replaced.get(kind, kind) for kind in mine] == learned


@applications
def test_files_of_keras_fill_networks_that_compute_the_same(name, tmp_path):
    import keras

    cnn, theirs = roster.load(name), application(name)
    write_old_format(theirs, tmp_path / "published.h5")
    ours = load(name, tmp_path / "published.h5")
    (tmp_path / "published.h5").unlink()
    assert_same_weights(ours, theirs)
    image = np.random.default_rng(0).integers(0, 256, (1, *cnn.input_shape)).astype(np.float32)
    mean, scale = (np.float32(one) for one in (cnn.preprocessing.mean, cnn.preprocessing.scale))
    pixels = (image - mean) * scale
    if name == "efficientnetb0":  # Keras scales by this only while it downloads weights
        layer = theirs.get_layer(index=2)
        before = np.asarray(layer.adapt_variance)
        layer.adapt_variance.assign(before * np.float32([0.229, 0.224, 0.225]))
        layer.finalize_state()
    shared = {layer.name for layer in theirs.layers}
    names = [cnn.canonical(layer) for layer in cnn.feature_layers]
    names = [layer for layer in names if layer in shared and "dense" not in layer]
    got = keras.Model(
        ours.input, [*(ours.get_layer(layer).output for layer in names), ours.output]
    )(pixels)
    expected = keras.Model(
        theirs.input, [*(theirs.get_layer(layer).output for layer in names), theirs.output]
    )(pixels)
    if name == "efficientnetb0":
        layer.adapt_variance.assign(before)
        layer.finalize_state()
    for mine, other in zip(got, expected, strict=True):
        # float32, and the same operations in another graph
        assert_allclose(mine, other, rtol=1e-4, atol=1e-4 * float(np.max(np.abs(other))))
    assert np.std(got[-1]) > 0


SAVED = {("convnexttiny", ".weights.h5"), ("mobilenetv2", ".keras")}
"""Which .ci/run saves and loads: networks inside a network, and the whole file."""


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        pytest.param(*case, marks=() if case in SAVED else pytest.mark.full)
        for case in product(APPLICATIONS, (".weights.h5", ".keras"))
    ],
)
def test_files_that_keras_3_saves_load(name, suffix, tmp_path):
    theirs = application(name)
    path = tmp_path / f"theirs{suffix}"
    (theirs.save if suffix == ".keras" else theirs.save_weights)(path)
    network = load(name, path)
    path.unlink()
    assert_same_weights(network, theirs)
    network.save_weights(tmp_path / "ours.weights.h5")
    assert_same_weights(load(name, tmp_path / "ours.weights.h5"), theirs)
    (tmp_path / "ours.weights.h5").unlink()


@pytest.mark.parametrize(("name", "application"), APPLICATIONS.items())
def test_weights_and_pixels_are_as_keras_states_them(name, application):
    import keras

    cnn = roster.load(name)
    module = importlib.import_module(getattr(keras.applications, application).__module__)
    sources = [module, keras.src.applications.resnet] if name == "resnet50v2" else [module]
    text = "".join(map(inspect.getsource, sources))
    text = re.sub(r'"\s*f?"', "", text)  # join what is split over lines
    file = cnn.weights["imagenet"]
    assert file.url.endswith("/" + file.file)
    if name != "mobilenetv2":  # of which Keras states no hash
        assert f'"{file.md5 or file.sha256}"' in text
    folder = file.url.removesuffix(file.file)
    assert folder in text or f"{folder}{file.file}" in text
    image = np.random.default_rng(0).integers(0, 256, (1, 5, 5, 3)).astype(np.float32)
    order, mean, scale = cnn.preprocessing.order, cnn.preprocessing.mean, cnn.preprocessing.scale
    channels = image[..., ::-1] if order == "bgr" else image
    expected = module.preprocess_input(image.copy())
    got = (channels - np.float32(mean)) * np.float32(scale)
    assert_allclose(got, expected, rtol=1e-5, atol=1e-4)  # float32


def test_a_layer_too_many_in_a_nested_network_is_an_error(tmp_path):
    import keras

    stem = [keras.layers.Conv2D(96, 4), keras.layers.LayerNormalization(), keras.layers.Dense(96)]
    image = keras.Input((224, 224, 3))
    network = keras.Model(image, keras.Sequential(stem)(image))
    network.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(WeightsError, match=r"the file also has a layer 'dense'|nothing for layer"):
        load("convnexttiny", tmp_path / "w.weights.h5")
