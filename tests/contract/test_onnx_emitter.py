"""Every kind of step, and every network here, as ONNX: ONNX Runtime gives what Keras gives."""

from __future__ import annotations

from typing import get_args

import described
import numpy as np
import onnxruntime
import pytest
import toys
from vista_sql.udfs.network import keras_reader, onnx_emitter, steps
from vista_sql.udfs.network.engines.tensorflow.process import on_thread
from vista_sql.udfs.network.graph import Graph
from vista_sql.udfs.network.networks import Network, OpenCnn
from vista_sql.udfs.network.onnx_emitter import Output, writer
from vista_sql.udfs.network.onnx_emitter.activations import NODES, OVER_CHANNELS
from vista_sql.udfs.network.steps import Foreign, Image, Step

from vista_sql import catalog, roster, weights
from vista_sql.errors import PlanError
from vista_sql.kernels import POOLS
from vista_sql.roster import Preprocessing
from vista_sql.roster.parts.layers import custom_layers

TOLERANCE = 1e-5
"""Of a layer's largest value: float32 sums in another order."""

PLAIN = Preprocessing("rgb", (0.0,) * 3, (1.0,) * 3)
SIDE = 9  # odd, so that paddings differ between the sides


def one(layer):
    return lambda image: layer(image)


def branches(join, **second):
    def built(image):
        layers = keras_reader.keras().layers
        left = layers.Conv2D(4, 3, padding="same")(image)
        return join([left, layers.Conv2D(4, 3, padding="same", **second)(image)])

    return built


def kinds():
    """Networks by the kind of step that they are about; each takes (9, 9, 3) images."""
    keras = keras_reader.keras()
    layers = keras.layers
    custom = custom_layers()
    normal = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 0.0])
    return {
        "convolution same": one(layers.Conv2D(4, 3, padding="same", activation="relu")),
        "convolution strides": one(layers.Conv2D(4, (3, 2), (2, 3), padding="same")),
        "convolution dilated": one(layers.Conv2D(4, 3, dilation_rate=2, padding="same")),
        "convolution groups": one(layers.Conv2D(6, 3, groups=3, use_bias=False)),
        "depthwise": one(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)),
        "depthwise strides": one(layers.DepthwiseConv2D(3, 2, padding="same")),
        "separable": one(layers.SeparableConv2D(4, 3, 2, "same", activation="relu")),
        "dense": lambda x: layers.Dense(4, activation="gelu")(layers.Flatten()(x)),
        "dense on a map": one(layers.Dense(4, activation="softmax")),
        "batch norm": one(layers.BatchNormalization(scale=False)),
        "batch norm of rows": one(layers.BatchNormalization(axis=1)),
        "folded": lambda x: layers.ReLU()(
            layers.BatchNormalization()(layers.DepthwiseConv2D(3)(x))
        ),
        "layer norm": one(layers.LayerNormalization(center=False)),
        "response norm": one(custom.LocalResponseNorm(2, 2.0, 1e-2, 0.75)),
        "pooling max": one(layers.MaxPooling2D(3, 2, padding="same")),
        "pooling mean": one(layers.AveragePooling2D((2, 3), 2, padding="same")),
        "pooling valid": one(layers.AveragePooling2D(2)),
        "global max": one(layers.GlobalMaxPooling2D()),
        "global mean": one(layers.GlobalAveragePooling2D(keepdims=True)),
        "pad": one(layers.ZeroPadding2D(((1, 2), (3, 0)))),
        "reshape": lambda x: layers.Reshape((27, 9))(layers.Conv2D(3, 1)(x)),
        "reshape to a map": lambda x: layers.Conv2D(2, 3)(layers.Reshape((27, 3, 3))(x)),
        "identity": one(layers.Dropout(0.5)),
        "add": branches(layers.Add(), strides=1),
        "multiply": lambda x: layers.Multiply()(
            [
                layers.Conv2D(3, 1)(x),
                layers.GlobalAveragePooling2D(keepdims=True)(x),
            ]
        ),
        "concatenate": branches(layers.Concatenate()),
        "concatenate rows": branches(layers.Concatenate(axis=1)),
        "rescaling": one(layers.Rescaling(1 / 127.5, -1)),
        "rescaling by channel": one(layers.Rescaling([1.0, 2.0, 3.0], offset=[0.0, 1.0, 2.0])),
        "normalization": one(normal),
        "scale": one(custom.LayerScale()),
        "subsampling": one(custom.Subsampling()),
        "partial": one(custom.PartialConv2D(3, [[0, 1], [2], [0, 1, 2]])),
        "inner network": lambda x: keras.Sequential(
            [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()]
        )(layers.Conv2D(3, 3)(x)),
    }


RELUS = ((None, 0.0, 0.0), (6.0, 0.0, 0.0), (None, 0.3, 0.0), (4.0, 0.2, 1.0), (None, 0.0, 2.0))
ACTIVATIONS = (*NODES, *OVER_CHANNELS, "relu6", "silu", "linear")


def randomised(model):
    """Return a network whose every variable has values of its own; variances are positive."""
    for place, variable in enumerate(model.weights):
        drawn = np.random.default_rng(place).normal(size=variable.shape).astype(np.float32)
        variable.assign(abs(drawn) + 0.5 if "variance" in variable.name else drawn)
    return model


def run(model, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def check(got, wanted):
    wanted = np.asarray(wanted).reshape(len(got), -1)
    assert got.dtype == np.float32
    assert got.shape == wanted.shape
    assert abs(got - wanted).max() <= TOLERANCE * abs(wanted).max()


def agrees(build):
    keras = keras_reader.keras()
    image = keras.Input((SIDE, SIDE, 3))
    model = randomised(keras.Model(image, build(image)))
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    graph = keras_reader.read(model)
    written = onnx_emitter.emit(graph, PLAIN, [Output(graph.output, "none", "out")])
    (got,) = run(written, {"pixels": pixels})
    check(got, on_thread(lambda: model(pixels.astype(np.float32)).numpy()))


def test_every_operation_has_a_file():
    own = {kind.__name__ for kind in get_args(steps.Operation)} - {"Image", "Foreign"}
    files = catalog.names("vista_sql.udfs.network.onnx_emitter.kinds")
    assert {name.title().replace("_", "") for name in files} == own


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_step(kind):
    agrees(kinds()[kind])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name):
    layers = keras_reader.keras().layers
    agrees(lambda x: layers.Activation(name)(layers.Rescaling(1 / 32, -4)(x)))


@pytest.mark.parametrize("numbers", RELUS)
def test_every_relu(numbers):
    layers = keras_reader.keras().layers
    limit, slope, threshold = numbers
    relu = layers.ReLU(max_value=limit, negative_slope=slope, threshold=threshold)
    agrees(lambda x: relu(layers.Rescaling(1 / 16, -8)(x)))


@pytest.mark.parametrize("name", ["residual", "inception", "mobile"])
def test_all_layers_of_toys_with_every_pool(name):
    network, pixels = toys.lowered(name), toys.pixels(3)
    layers = [step.name for step in network.graph.steps.values() if step.inputs and step.shape]
    wanted = [Output(layer, pool, f"{layer} {pool}") for layer in layers for pool in POOLS]
    got = run(
        onnx_emitter.emit(network.graph, network.cnn.preprocessing, wanted), {"pixels": pixels}
    )
    for output, values in zip(wanted, got, strict=True):
        check(values, network.features([output.layer], output.pool, pixels)[0])


@pytest.mark.parametrize("name", ["residual", "inception", "mobile"])
def test_a_model_may_begin_at_any_cut(name):
    network, pixels = toys.lowered(name), toys.pixels(3)
    top = network.graph.output
    (whole,) = network.features([top], "none", pixels)
    for start in network.graph.cuts[1:-1]:
        (maps,) = network.features([start], "none", pixels)
        written = onnx_emitter.emit(
            network.graph, network.cnn.preprocessing, [Output(top, "none", "top")], start
        )
        check(run(written, {start: maps})[0], whole)


def test_a_model_may_begin_at_zeros_around_a_map():
    keras = keras_reader.keras()
    image = keras.Input((SIDE, SIDE, 3))
    padded = keras.layers.ZeroPadding2D(name="zeros")(keras.layers.Conv2D(4, 3, name="conv")(image))
    relu = keras.layers.ZeroPadding2D(name="pad")(keras.layers.ReLU(name="relu")(padded))
    model = randomised(keras.Model(image, keras.layers.MaxPooling2D(3, 2, name="max")(relu)))
    graph = keras_reader.read(model)
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    both = [Output(layer, "none", layer) for layer in ("pad", "max")]
    maps, whole = run(onnx_emitter.emit(graph, PLAIN, both), {"pixels": pixels})
    above = onnx_emitter.emit(graph, PLAIN, both[1:], "pad")
    check(run(above, {"pad": maps})[0], whole)


def roster_agrees(name):
    cnn = roster.load(name)
    choice = weights.resolve(cnn, "random")
    graph = keras_reader.read(on_thread(weights.load_network, cnn, choice))
    network = Network(OpenCnn(cnn, name, lambda: graph), "float32", "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (2, *cnn.input_shape), dtype=np.uint8)
    layers = [cnn.canonical(layer) for layer in cnn.feature_layers]
    wanted = [Output(layer, "max2x2", layer) for layer in layers]
    got = run(onnx_emitter.emit(graph, cnn.preprocessing, wanted), {"pixels": pixels})
    for output, values in zip(wanted, got, strict=True):
        check(values, network.features([output.layer], "max2x2", pixels)[0])


@pytest.mark.parametrize("name", ["lenet5", "mobilenetv2"])
def test_networks_of_the_roster(name):
    roster_agrees(name)


@pytest.mark.full
@pytest.mark.parametrize("name", roster.names())
def test_all_networks_of_the_roster(name):
    roster_agrees(name)


def test_what_cannot_be_written_is_named():
    image = Step("image", Image(), (), (4, 4, 3))
    foreign = Step("fourier", Foreign("FFT"), ("image",), (4, 4, 3))
    graph = Graph("net", [image, foreign], "fourier")
    with pytest.raises(PlanError, match=r"layer 'fourier' \(FFT\) cannot be written in ONNX"):
        onnx_emitter.emit(graph, PLAIN, [Output("fourier", "none", "fourier")])
    odd = Step("odd", steps.Activate("glu"), ("image",), (4, 4, 3))
    with pytest.raises(
        PlanError, match="layer 'odd' cannot be written in ONNX: unknown activation"
    ):
        onnx_emitter.emit(Graph("net", [image, odd], "odd"), PLAIN, [Output("odd", "none", "odd")])
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    own = Step("own", steps.Convolution(kernel, None, activation=""), ("image",), (4, 4, 2))
    with pytest.raises(PlanError, match=r"layer 'own' .* its activation is not one of Keras's"):
        onnx_emitter.emit(Graph("net", [image, own], "own"), PLAIN, [Output("own", "none", "own")])


def test_more_weights_than_a_model_holds_are_one_sentence(monkeypatch):
    monkeypatch.setattr(writer, "MOST_BYTES", 100)
    wanted = [Output("top", "none", "out")]
    with pytest.raises(PlanError, match="more weights than the 100 B that an ONNX model holds"):
        onnx_emitter.emit(described.graph(), described.CNN.preprocessing, wanted)
