"""Whether a network as data computes what Keras computes, layer by layer, on images from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from vista_sql.errors import PlanError
from vista_sql.roster import Preprocessing
from vista_sql.roster.networks import NetworkData
from vista_sql.weights import described, hdf5, keras_files

from . import keras_reader, onnx_emitter, serial
from .engines.openvino.process import compiled
from .engines.tensorflow.process import Tensor, load
from .graph import Graph
from .keras_reader import KerasCall
from .onnx_emitter import Output

KerasModel: TypeAlias = Any

IMAGES, SEED = 2, 0

RELATIVE: Mapping[str, float] = {"float32": 1e-4, "float16": 0.03, "bfloat16": 0.2}
"""Of a layer's largest value, by the coarsest numbers that Keras computes it with: data are run in
float32, where folding a norm rounds each weight once more: up to 2e-5 in the roster's networks."""


def difference(network: KerasModel, data: NetworkData, path: str) -> str | None:
    """Return the first layer whose values are not Keras's, and that they are not; None: all are.

    Args:
        network: as Keras loaded it from the file.
        data: the same.
        path: of the file, from which the data's weights are read.
    """
    graph = serial.graph(data, _arrays(data, path))
    inner = {graph.input, *filter(graph.is_inner, graph.steps)}  # a group shows in its end
    layers = [name for name in graph.steps if name not in inner]
    sides = network.inputs[0].shape[1:]
    beside: list[np.ndarray] = []  # the weights, as long as they are computed with
    try:
        request = compiled(partial(_model, graph, sides[-1], layers, beside), "float32", None)
    except PlanError as error:
        return f"the network as it is saved ({error})"
    types = {layer.compute_dtype for layer in network._flatten_layers()}
    relative = max(RELATIVE.get(kind, 0.0) for kind in (*types, "float32"))
    images = np.random.default_rng(SEED).integers(0, 256, (IMAGES, *sides), dtype=np.uint8)
    for one in images[:, None]:  # alone: the maps of all layers are there at once
        expected = _by_keras(network, one)
        request.infer({0: one})
        for place, layer in enumerate(layers):
            values, found = expected[layer], request.get_output_tensor(place).data.ravel()
            if not np.abs(found - values).max() <= relative * np.abs(values).max():
                return f"layer {layer!r}, whose values as data are not Keras's"
    return None


def _by_keras(network: KerasModel, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return float32 (values,) of every layer of one image, as Keras's own layers compute them."""
    tf, keras = load()
    graph = keras_reader.read(network)
    image = tf.constant(pixels, tf.float32)
    known: dict[str, Tensor] = {graph.input: image}
    for step in graph.steps.values():
        given = [known[name] for name in step.inputs]
        if isinstance(step.origin, KerasCall) and given:
            (known[step.name],) = step.origin(given)
        elif given:  # the end of an inner network
            (known[step.name],) = given
    if not keras_files.trains_by_default(network):  # as a whole it is called for inference
        known[graph.output] = keras.tree.flatten(network(image, training=False))[0]
    return {name: np.asarray(value, np.float32).ravel() for name, value in known.items()}


def _arrays(data: NetworkData, path: str) -> dict[str, np.ndarray]:
    values = hdf5.read(described.of_data(data), path, path)
    return {variable.path: np.asarray(one, np.float32) for variable, one in values}


def _model(graph: Graph, channels: int, layers: list[str], beside: list[np.ndarray]) -> bytes:
    plain = Preprocessing("rgb", (0.0,) * channels, (1.0,) * channels)
    wanted = [Output(layer, "none", f"{layer} none") for layer in layers]
    model = onnx_emitter.emit(graph, plain, wanted, beside=beside)
    return model.SerializeToString()  # type: ignore[no-any-return]
