"""Networks of the roster in an engine that needs no Keras, where neither it nor TensorFlow is."""

from __future__ import annotations

import numpy as np
import pytest
from keras_files import write_old_format
from loading import load, write_safetensors
from msgspec.structs import replace
from numpy.testing import assert_array_equal
from processes import run_python
from processors import DTYPES
from vista_sql.udfs.network import engine
from vista_sql.udfs.network.engines.openvino import runner
from vista_sql.udfs.network.networks import Network, open_cnn
from vista_sql.udfs.network.onnx_emitter.writer import ADDRESS

from vista_sql import roster
from vista_sql.errors import PlanError
from vista_sql.kernels import InferSpec
from vista_sql.weights.safetensors import SUFFIXES

# Keras 3.15 reads its own variables so when it saves them; we only read.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

BLOCKED = ("tensorflow", "keras")

CODE = """
    import sys
    import numpy as np
    from vista_sql.kernels import InferSpec
    from vista_sql.udfs.network.networks import Network, open_cnn

    for number, (cnn, weights) in enumerate({cases!r}):
        opened = open_cnn(InferSpec(cnn, (), weights=weights, seed=3))
        network = Network(opened, "float32", "cpu", engine_name="openvino")
        layers = [opened.cnn.canonical(layer) for layer in opened.cnn.feature_layers]
        pixels = np.load({folder!r} + f"/{{cnn}}.npy")
        np.savez({folder!r} + f"/{{number}}.npz", *network.features(layers, "none", pixels))
    print([name for name in {blocked!r} if name in sys.modules])
    """


def torch_tensors(cnn, network):
    """Return a network's weights by torch's names and with its axes."""
    return {
        f"{module}.{SUFFIXES[variable.name]}": np.asarray(variable).T.swapaxes(-1, -2)
        if len(variable.shape) == 4
        else np.asarray(variable).T
        for module, layer in cnn.torch_names[0].modules.items()
        for variable in network.get_layer(layer).weights
    }


def test_features_have_the_bits_of_networks_that_keras_loaded(tmp_path):
    lenet, resnet = load("lenet5", "random", 5), load("resnet18", "random", 5)
    lenet.save_weights(tmp_path / "new.weights.h5")
    write_old_format(lenet, tmp_path / "old.h5")
    tensors = torch_tensors(roster.load("resnet18"), resnet)
    write_safetensors(tmp_path / "torch.safetensors", tensors)
    files = ("new.weights.h5", "old.h5")
    cases = [
        ("lenet5", "bundled"),
        ("lenet5", "random"),
        *(("lenet5", str(tmp_path / file)) for file in files),
        ("resnet18", "random"),
        ("resnet18", str(tmp_path / "torch.safetensors")),
    ]
    random = np.random.default_rng(0)
    pixels = {
        name: random.integers(0, 256, (2, *roster.load(name).input_shape), np.uint8)
        for name in ("lenet5", "resnet18")
    }
    for name, images in pixels.items():
        np.save(tmp_path / f"{name}.npy", images)
    code = CODE.format(cases=cases, folder=str(tmp_path), blocked=BLOCKED)
    assert run_python(tmp_path / "script.py", code, *BLOCKED) == ["[]"]
    for number, (name, weights) in enumerate(cases):
        opened = open_cnn(InferSpec(name, (), weights=weights, seed=3))
        through_keras = replace(opened, load_data=None)
        network = Network(through_keras, "float32", "cpu", engine_name="openvino")
        layers = [opened.cnn.canonical(layer) for layer in opened.cnn.feature_layers]
        expected = network.features(layers, "none", pixels[name])
        found = np.load(tmp_path / f"{number}.npz")
        for key, values in zip(found.files, expected, strict=True):
            assert_array_equal(found[key], values)


def test_an_engine_that_needs_keras_gets_its_variables():
    names = ("lenet5", "resnet18", "vgg16", "alexnet", "convnexttiny")
    needs = engine.load("tensorflow").needs_keras
    opened = {name: open_cnn(InferSpec(name, (), weights="random")) for name in names}
    found = [name for name, one in opened.items() if needs(one.cnn, one.load_data)]
    assert found == ["lenet5", "alexnet", "convnexttiny"]


def test_tensorflow_computes_the_same_bits_of_data_as_of_keras():
    opened = open_cnn(InferSpec("resnet18", (), weights="random", seed=3))
    layers = [*map(opened.cnn.canonical, opened.cnn.feature_layers)]
    layers = list(dict.fromkeys([*layers, opened.cnn.layers[-1].name]))
    images = np.random.default_rng(0).integers(0, 256, (3, *opened.cnn.input_shape), np.uint8)
    of_data = Network(opened, "float32", "cpu")
    of_keras = Network(replace(opened, load_data=None), "float32", "cpu")
    assert all(step.origin is None for step in of_data.graph.steps.values())
    assert any(step.origin is not None for step in of_keras.graph.steps.values())
    found = of_data.features(layers, "max2x2", images)
    for mine, other in zip(found, of_keras.features(layers, "max2x2", images), strict=True):
        assert_array_equal(mine, other)


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_beside_the_model_compute_the_same_bits_as_in_it(monkeypatch, dtype):
    opened = open_cnn(InferSpec("resnet18", (), weights="random"))
    layers = [opened.cnn.canonical(layer) for layer in opened.cnn.feature_layers]
    images = np.random.default_rng(0).integers(0, 256, (3, *opened.cnn.input_shape), np.uint8)

    def found():
        network = Network(opened, dtype, "cpu", engine_name="openvino")
        batches = [network.features(layers, "none", images[:rows]) for rows in (1, 3, 2)]
        kept = [len(one.weights) for one in network.runner._compiled_models.values()]
        return [values for batch in batches for values in batch], all(kept)

    beside, kept = found()
    assert kept
    compiled = runner.compiled

    def refuses_addresses(write, *options):
        if ADDRESS.encode() in write():
            raise PlanError("no addresses")
        return compiled(write, *options)

    monkeypatch.setattr(runner, "compiled", refuses_addresses)
    inside, kept = found()
    assert not kept
    for mine, other in zip(beside, inside, strict=True):
        assert_array_equal(mine, other)
