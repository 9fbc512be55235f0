"""Every layer of Keras that behaves otherwise in training is run for inference."""

from __future__ import annotations

import inspect
import os
import time
from functools import cache

import numpy as np
from vista_sql.udfs.network import keras_reader
from vista_sql.udfs.network.networks import Network, open_cnn

from vista_sql import store, weights
from vista_sql.kernels import InferSpec
from vista_sql.weights.keras_files import ALIKE_IN_TRAINING, trains_by_default

IMAGE, SEQUENCE, MOVIE, SOLID = (8, 8, 3), (5, 4), (3, 8, 8, 3), (2, 8, 8, 8, 3)

NOT_OF_KERAS = {"FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"}
"""They wrap what other libraries compute."""

OF_SEVERAL_INPUTS = {"CutMix", "MaxNumBoundingBoxes", "MixUp"}
"""They take labels or boxes beside images, and no network of one image holds them."""


def uses(layers):
    """Return the shape of an input and the use of each kind that an image or no arguments fail."""
    return {
        "AdditiveAttention": (SEQUENCE, lambda x: layers.AdditiveAttention(dropout=0.5)([x, x])),
        "AlphaDropout": (IMAGE, layers.AlphaDropout(0.5)),
        "Attention": (SEQUENCE, lambda x: layers.Attention(dropout=0.5)([x, x])),
        "Bidirectional": (SEQUENCE, layers.Bidirectional(layers.LSTM(2, dropout=0.5))),
        "CenterCrop": (IMAGE, layers.CenterCrop(4, 4)),
        "ConvLSTM1D": ((3, 8, 3), layers.ConvLSTM1D(2, 3, dropout=0.5)),
        "ConvLSTM2D": (MOVIE, layers.ConvLSTM2D(2, 3, dropout=0.5)),
        "ConvLSTM3D": (SOLID, layers.ConvLSTM3D(2, 3, dropout=0.5)),
        "Dense": (IMAGE, layers.Dense(2)),
        "Dropout": (IMAGE, layers.Dropout(0.5)),
        "EinsumDense": (SEQUENCE, layers.EinsumDense("abc,cd->abd", (None, 2))),
        # by itself it returns the very tensor that it is given while a network is put together
        "Equalization": (IMAGE, layers.Pipeline([layers.Equalization()])),
        "GRU": (SEQUENCE, layers.GRU(2, dropout=0.5)),
        "GRUCell": (SEQUENCE, layers.RNN(layers.GRUCell(2, dropout=0.5))),
        "GaussianDropout": (IMAGE, layers.GaussianDropout(0.5)),
        "GaussianNoise": (IMAGE, layers.GaussianNoise(0.5)),
        "GroupQueryAttention": (
            SEQUENCE, lambda x: layers.GroupQueryAttention(2, 2, 1, dropout=0.5)(x, x),
        ),
        "LSTM": (SEQUENCE, layers.LSTM(2, dropout=0.5)),
        "LSTMCell": (SEQUENCE, layers.RNN(layers.LSTMCell(2, dropout=0.5))),
        "Lambda": (IMAGE, layers.Lambda(lambda x, training=True: x * 2 if training else x)),
        "MultiHeadAttention": (
            SEQUENCE, lambda x: layers.MultiHeadAttention(2, 2, dropout=0.5)(x, x),
        ),
        "Pipeline": (IMAGE, layers.Pipeline([layers.RandomFlip(), layers.RandomBrightness(0.5)])),
        "RNN": (SEQUENCE, layers.RNN(layers.SimpleRNNCell(2, dropout=0.5))),
        "RandomBrightness": (IMAGE, layers.RandomBrightness(0.5)),
        "RandomColorDegeneration": (IMAGE, layers.RandomColorDegeneration(0.5)),
        "RandomColorJitter": (IMAGE, layers.RandomColorJitter(brightness_factor=0.5)),
        "RandomContrast": (IMAGE, layers.RandomContrast(0.5)),
        "RandomCrop": (IMAGE, layers.RandomCrop(4, 4)),
        "RandomGrayscale": (IMAGE, layers.RandomGrayscale(1.0)),
        "RandomHue": (IMAGE, layers.RandomHue(0.5)),
        "RandomPosterization": (IMAGE, layers.RandomPosterization(1)),
        "RandomRotation": (IMAGE, layers.RandomRotation(0.5)),
        "RandomSaturation": (IMAGE, layers.RandomSaturation(0.5)),
        "RandomSharpness": (IMAGE, layers.RandomSharpness(0.9)),
        "RandomShear": (IMAGE, layers.RandomShear(0.5, 0.5)),
        "RandomTranslation": (IMAGE, layers.RandomTranslation(0.5, 0.5)),
        "RandomZoom": (IMAGE, layers.RandomZoom(0.5)),
        "Resizing": (IMAGE, layers.Resizing(4, 4)),
        "SimpleRNN": (SEQUENCE, layers.SimpleRNN(2, dropout=0.5)),
        "SimpleRNNCell": (SEQUENCE, layers.RNN(layers.SimpleRNNCell(2, dropout=0.5))),
        "Solarization": (IMAGE, layers.Solarization(0.9, 0.9)),
        "SpatialDropout1D": (SEQUENCE, layers.SpatialDropout1D(0.5)),
        "SpatialDropout2D": (IMAGE, layers.SpatialDropout2D(0.5)),
        "SpatialDropout3D": (MOVIE, layers.SpatialDropout3D(0.5)),
        "SpectralNormalization": (IMAGE, layers.SpectralNormalization(layers.Dense(2))),
        "StackedRNNCells": (
            SEQUENCE, layers.RNN(layers.StackedRNNCells([layers.LSTMCell(2, dropout=0.5)])),
        ),
        "TimeDistributed": (SEQUENCE, layers.TimeDistributed(layers.Dropout(0.5))),
    }  # fmt: skip


@cache
def kinds():
    """Return every class of Keras's layers that takes `training`."""
    layers = keras_reader.keras().layers
    return {
        name: kind
        for name in dir(layers)
        if isinstance(kind := getattr(layers, name), type)
        and issubclass(kind, layers.Layer)
        and "training" in inspect.signature(kind.call).parameters
        and name not in NOT_OF_KERAS | OF_SEVERAL_INPUTS
    }


@cache
def networks():
    """Return of each kind the shape of an image, and a network that uses such a layer."""
    keras = keras_reader.keras()
    given, found = uses(keras.layers), {}
    for name, kind in kinds().items():
        shape, use = given[name] if name in given else (IMAGE, kind())
        image = keras.Input(shape)
        found[name] = shape, keras.Model(image, use(image))
    return found


def values(shape):
    return np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype(np.float32)


def run(model, given):
    """Return what a network computes, each step by the layer that it was read from."""
    graph = keras_reader.read(model)
    known = {graph.input: [given]}
    for step in graph.steps.values():
        if step.inputs:
            given = [known[need][0] for need in step.inputs]
            known[step.name] = given if step.origin is None else step.origin(given)
    return np.asarray(known[graph.output][0])


def test_layers_of_training_return_what_they_are_given():
    for name in keras_reader.OF_TRAINING:
        shape, model = networks()[name]
        given = values(shape)
        assert np.array_equal(np.asarray(model(given, training=False)), given), name


def test_every_layer_runs_for_inference():
    keras = keras_reader.keras()
    wrong = []
    for name, (shape, model) in networks().items():
        given, image = values(shape), keras.Input(shape)
        expected = np.asarray(model(given, training=False))
        nested = keras.Model(image, model(image))
        if not all(np.array_equal(run(one, given), expected) for one in (model, nested)):
            wrong.append(name)
    assert wrong == []


def test_only_what_was_computed_as_in_training_is_told_apart():
    for name, (shape, model) in networks().items():
        given = values(shape)
        expected = np.asarray(model(given, training=False))
        differs = any(not np.array_equal(model(given), expected) for _ in range(3))
        assert trains_by_default(model) or not differs, name
        assert not (name in ALIKE_IN_TRAINING and differs), name


def test_a_call_that_says_training_is_of_inference_too():
    keras = keras_reader.keras()
    image = keras.Input(IMAGE)
    norm = keras.layers.BatchNormalization()
    model = keras.Model(image, norm(image, training=True))
    given = values(IMAGE)
    assert np.array_equal(run(model, given), np.asarray(norm(given, training=False)))
    assert trains_by_default(model)


def saved(path, *layers):
    keras = keras_reader.keras()
    x = image = keras.Input(IMAGE)
    for layer in layers:
        x = layer(x)
    keras.Model(image, keras.layers.GlobalAveragePooling2D(name="mean")(x)).save(path)
    return weights.from_keras_file(str(path))


def test_only_networks_that_were_computed_otherwise_are_computed_anew(tmp_path):
    keras = keras_reader.keras()
    layers = keras.layers
    plain = saved(tmp_path / "plain.keras", layers.Rescaling(2.0), layers.Resizing(4, 4))
    inner = saved(tmp_path / "inner.keras", keras.Sequential([layers.RandomBrightness(0.5)]))
    assert (plain.revision, inner.revision) == ("", "inference, inner layers")
    made_by = [store.space(cnn, "0", "mean", device="cpu").made_by for cnn in (plain, inner)]
    assert made_by[1] == f"{made_by[0]}, inference, inner layers"


def test_gray_stays_gray(tmp_path):
    keras = keras_reader.keras()
    layers = keras.layers
    inner = keras.Sequential([layers.RandomFlip(), layers.RandomContrast(0.5)])
    saved(tmp_path / "own.keras", layers.RandomBrightness(0.5), inner)
    opened = open_cnn(InferSpec(str(tmp_path / "own.keras"), ("mean",)))
    (means,) = Network(opened, "float32", "cpu").features(
        ["mean"], "max2x2", np.full((3, *IMAGE), 100, np.uint8)
    )
    assert (means == 100).all()


def test_a_network_that_was_written_again_is_read_again(tmp_path):
    """With its old size and time, as rsync and tar write files: other weights may be in it."""
    path = tmp_path / "own.keras"
    first = saved(path)
    assert weights.from_keras_file(str(path)) is first
    old = path.stat()
    time.sleep(0.02)  # a file system's clock ticks up to 100 times a second
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert weights.from_keras_file(str(path)) is not first
