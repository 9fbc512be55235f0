"""The same features on a GPU as on the CPU, within a bound; run by hand where a GPU is.

Tolerances are parts of a layer's largest value. float32: both devices round to 24 bits, but sum in
another order (oneDNN and cuDNN block differently); TensorFloat-32's 10 bits would show as 1e-3.
"""

from __future__ import annotations

import gc
from itertools import pairwise

import foods
import numpy as np
import pytest
import toys
from vista_sql.udfs.network import networks
from vista_sql.udfs.network.engines.tensorflow import gpu, process

from vista_sql import roster, store
from vista_sql.kernels import InferSpec

FLOAT32 = 1e-5
BFLOAT16 = 0.1  # as docs/bfloat16.md and tests/unit/udfs/test_lower.py have it
CNNS = ("lenet5", "alexnet", "vgg16", "googlenet", "resnet18", "resnet50", "densenet121",
        "mobilenetv2", "efficientnetb0", "convnexttiny")  # fmt: skip


def has_gpu():
    tf, _ = process.load()
    return bool(tf.config.list_physical_devices("GPU"))


pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif("not has_gpu()", reason="TensorFlow sees no GPU here"),  # asked when run
]


def network(name, device, dtype="float32"):
    found = networks.open_cnn(InferSpec(name, (), weights="random"))
    return networks.Network(found, dtype, device)


def pixels(name, n):
    shape = roster.load(name).input_shape
    return np.random.default_rng(3).integers(0, 256, (n, *shape), dtype=np.uint8)


def feature_layers(name):
    return toys.feature_layers(roster.load(name))


def check(layers, found, expected, relative):
    for layer, values, other in zip(layers, found, expected, strict=True):
        assert np.abs(values - other).max() <= relative * np.abs(other).max(), layer


@pytest.fixture(scope="module", params=CNNS)
def both(request):
    """A CNN's name, its network on the GPU, and all its feature layers of 9 images on the CPU."""
    name = request.param
    expected = network(name, "cpu").features(feature_layers(name), "none", pixels(name, 9))
    gc.collect()
    yield name, network(name, "gpu"), expected
    gc.collect()


def test_every_feature_layer_equals_the_cpus(both):
    name, gpu, expected = both
    assert gpu.on_gpu
    found = gpu.features(feature_layers(name), "none", pixels(name, 9))
    check(feature_layers(name), found, expected, FLOAT32)


def test_the_batchs_length_and_other_layers_change_nothing_beyond_the_bound(both):
    name, gpu, expected = both
    for n in (1, 3, 9):
        for layer, values in zip(feature_layers(name), expected, strict=True):
            check([layer], gpu.features([layer], "none", pixels(name, n)), [values[:n]], FLOAT32)


def test_partial_inference_equals_inference_from_the_image(both):
    name, gpu, expected = both
    maps = dict(zip(feature_layers(name), expected, strict=True))
    for start, layer in pairwise(maps):
        if gpu.graph.reachable(start, layer):
            found = gpu.resume(start, [layer], "none", maps[start])
            check([layer], found, [maps[layer]], FLOAT32)


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "mobilenetv2"])
def test_bfloat16_is_within_its_bound(name):
    layers = feature_layers(name)
    expected = network(name, "cpu").features(layers, "max2x2", pixels(name, 5))
    found = network(name, "gpu", "bfloat16").features(layers, "max2x2", pixels(name, 5))
    check(layers, found, expected, BFLOAT16)
    assert any((a != b).any() for a, b in zip(found, expected, strict=True))


def test_auto_is_the_gpu():
    assert network("lenet5", "auto").on_gpu
    assert not network("lenet5", "cpu").on_gpu
    assert store.device_class("auto").startswith("gpu"), "features of both would share the store"


def test_memory_grows_and_single_precision_is_whole():
    tf, _ = process.load()
    network("lenet5", "gpu")
    for device in tf.config.list_physical_devices("GPU"):
        assert tf.config.experimental.get_memory_growth(device)
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


@pytest.fixture
def little_memory():
    """Take the GPU's memory but for 3 GiB."""
    tf, _ = process.load()
    free = gpu.free_bytes()
    assert free is not None, "the driver does not say what memory is free"
    with tf.device("/GPU:0"):
        taken = [tf.zeros(2**30, tf.uint8) for _ in range((free >> 30) - 3)]
    assert gpu.free_bytes() < 4 * 2**30
    yield
    taken.clear()


@pytest.mark.parametrize("guarded", [True, False], ids=["cut before", "halved after"])
def test_batches_fit_the_free_memory(little_memory, monkeypatch, guarded):
    expected = network("vgg16", "cpu").features(["fc8"], "none", pixels("vgg16", 200))
    gpu = network("vgg16", "gpu")
    if not guarded:
        monkeypatch.setattr(gpu.runner.guard, "_free", lambda: None)
    found = gpu.features(["fc8"], "none", pixels("vgg16", 200))
    assert 2 <= gpu.runner.guard.rows < 200
    check(["fc8"], found, expected, FLOAT32)


def test_a_statement_gives_the_same_rows(fresh_db):
    rows = {}
    for device in ("cpu", "gpu", "auto"):
        call = foods.CALL.replace("cnn =>", f"device => '{device}', cnn =>")
        statement = f"SELECT id, price, f6, conv3, error FROM {call} ORDER BY id, price"
        rows[device] = fresh_db.query(statement).arrow().to_pylist()
    for device in ("gpu", "auto"):
        assert len(rows[device]) == len(rows["cpu"]) > 0
        for row, other in zip(rows[device], rows["cpu"], strict=True):
            assert (row["id"], row["error"]) == (other["id"], other["error"])
            for layer in ("f6", "conv3"):
                assert (row[layer] is None) == (other[layer] is None)
                if row[layer] is not None:
                    found, expected = np.array(row[layer]), np.array(other[layer])
                    check([layer], [found], [expected], FLOAT32)
