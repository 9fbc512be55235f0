"""A lowered network computes what Keras does, is traced once and copies no weights for nothing."""

from __future__ import annotations

import numpy as np
import pytest
from toys import TOYS, cnn, lowered, network, pixels
from vista_sql.udfs.network import keras_reader
from vista_sql.udfs.network.engines.tensorflow import ops

RELATIVE = 1e-4  # of a layer's largest value, in float32: folding rounds each weight once more


def keras_layers(name, images):
    """Every layer's output by Keras itself, flattened."""
    model = network(name)
    names = [layer.name for layer in model.layers[1:]]
    preprocessing = cnn(name).preprocessing
    values = (images - np.float32(preprocessing.mean)) * np.float32(preprocessing.scale)
    part = keras_reader.keras().Model(
        model.input, [model.get_layer(layer).output for layer in names]
    )
    found = part(values)
    return {n: np.asarray(v).reshape(len(images), -1) for n, v in zip(names, found, strict=True)}


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize(("dtype", "relative"), [("float32", RELATIVE), ("bfloat16", 0.1)])
def test_every_layer_equals_keras(name, dtype, relative):
    images = pixels(5)
    expected = keras_layers(name, images)
    found = lowered(name, dtype).features(list(expected), "none", images)
    for (layer, values), own in zip(expected.items(), found, strict=True):
        assert own.dtype == np.float32
        assert np.abs(own - values).max() <= relative * np.abs(values).max(), layer


def test_without_onednn_the_layers_are_the_same(monkeypatch):
    monkeypatch.setattr(ops, "has_onednn", lambda dtype: False)
    images = pixels(3)
    lowered.cache_clear()
    try:
        for name in TOYS:
            expected = keras_layers(name, images)
            found = lowered(name).features(list(expected), "none", images)
            for (layer, values), own in zip(expected.items(), found, strict=True):
                assert np.abs(own - values).max() <= RELATIVE * np.abs(values).max(), layer
    finally:
        lowered.cache_clear()


def test_no_batch_length_and_no_repetition_traces_again():
    found = lowered("mobile")
    for n in (1, 2, 3, 7, 12, 31):
        for layers in (["silu"], ["top"], ["gated", "top"], ["silu", "gated"]):
            found.features(layers, "max2x2", pixels(n))
            if n == 1 and layers == ["silu", "gated"]:
                traces = found.runner.lowered.traces
    assert found.runner.lowered.traces == traces


def test_weights_are_not_copied_where_they_are_used_as_they_are():
    found = lowered("inception")
    found.features(["top"], "none", pixels(2))
    kernel, _ = found.runner.lowered._weights["stem"]
    steps = found.graph.steps
    assert kernel is steps["stem"].operation.kernel.value
    assert found.runner.lowered._weights["dense_bn"][0] is not steps["dense"].operation.kernel.value
