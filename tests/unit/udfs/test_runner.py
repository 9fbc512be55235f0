"""How TensorFlow holds a network: on a device, entered and left as NumPy arrays."""

from __future__ import annotations

import described
import numpy as np
import pytest
from vista_sql.udfs.network.engines import tensorflow
from vista_sql.udfs.network.engines.tensorflow import process, runner

from vista_sql.errors import SettingError


def opened(dtype="float32"):
    return tensorflow.ENGINE.open(described.CNN, "", described.graph, dtype, "cpu", None)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_enters_a_step_leaves_it_again(dtype):
    maps = np.arange(3 * 3 * 3 * described.FILTERS, dtype=np.float32).reshape(3, -1) % 128
    (found,) = opened(dtype).run("pool", [("pool", "none")], maps)
    assert np.array_equal(found, maps)


def test_segments_and_poolings_are_traced_once():
    network = opened()
    lowered = network.lowered
    assert lowered.function("relu", "relu6") is lowered.function("relu", "relu6")
    traces = lowered.traces
    for n in (1, 2, 4):
        network.run("image", [("relu", "gap")], described.pixels(4)[:n])
    assert lowered.traces == traces + 2


def test_device_gpu_where_there_is_none_is_named(monkeypatch):
    tf, _ = process.load()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(
        SettingError, match="device 'gpu' was asked for, but TensorFlow sees no GPU"
    ):
        runner.device_name("gpu")
    assert runner.device_name("auto") == runner.device_name("CPU") == "/CPU:0"
    with pytest.raises(SettingError, match="device 'tpu'"):
        runner.device_name("tpu")


def test_auto_is_the_first_gpu_in_full_precision(monkeypatch):
    tf, _ = process.load()
    kept = tf.config.experimental.tensor_float_32_execution_enabled()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0", "GPU:1"])
    try:
        assert runner.device_name("auto") == runner.device_name("gpu") == "/GPU:0"
        assert not tf.config.experimental.tensor_float_32_execution_enabled()
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(kept)
