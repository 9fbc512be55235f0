"""A network open in TensorFlow: functions from cut to cut, batches of few lengths, one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import prod

import numpy as np

from vista_sql.errors import SettingError
from vista_sql.kernels import BATCH_LENGTHS, rows_at_once
from vista_sql.roster import Cnn

from ...engine import Dtype
from ...graph import Graph
from . import gpu, pooling
from .batch_lengths import MOST_BLOCK_ROWS, granule, padded, widest_values
from .lower import Function, Lowered
from .process import Tensor, load, on_thread


class TensorFlowRunner:
    """The engine's `Runner`; only `call` may be used outside TensorFlow's thread."""

    def __init__(self, cnn: Cnn, read: Callable[[], Graph], dtype: Dtype, device: str) -> None:
        """Read the network onto the device; nothing is traced yet.

        Args:
            cnn: facts about it.
            read: reads its graph, and its weights as variables of the current device.
            dtype: of the arithmetic.
            device: 'auto', 'cpu' or 'gpu'.
        """
        place = device_name(device)
        self.on_gpu = place.startswith("/GPU")
        tf, _ = load()
        with tf.device(place), gpu.loading(cnn.name, 4 * cnn.parameters):
            self.graph = read()
        widest, shortest = widest_values(self.graph), BATCH_LENGTHS[0]
        self._granule = shortest if self.on_gpu else granule(self.graph)
        self.batch_rows = rows_at_once(widest, self._granule)
        block_rows = rows_at_once(widest, shortest, MOST_BLOCK_ROWS)
        self.lowered = Lowered(self.graph, cnn.preprocessing, dtype, place, block_rows)
        steps = [
            (step.name, step.inputs, prod(side or 1 for side in step.shape or ()))
            for step in self.graph.steps.values()
        ]
        need = gpu.needed(steps, cnn.parameters, 4 if dtype == "float32" else 2)
        self.guard = gpu.Guard(cnn.name, need, BATCH_LENGTHS)
        self._pools: dict[tuple[str, str], Function] = {}
        self._lock = threading.Lock()

    def call(
        self, work: Callable[[np.ndarray], list[np.ndarray]], values: np.ndarray
    ) -> list[np.ndarray]:
        """See `Runner`."""
        if self.on_gpu:
            return on_thread(self.guard.run, work, values)
        return on_thread(work, values)

    def enter(self, values: np.ndarray, layer: str) -> Tensor:
        """See `Runner`."""
        return self.lowered.value(padded(values, self._granule), layer)

    def segment(self, start: str, stop: str) -> Function:
        """See `Runner`."""
        return self.lowered.function(start, stop)

    def leave(self, value: Tensor, layer: str, pool: str, rows: int) -> np.ndarray:
        """See `Runner`."""
        pooled = self._pooling(layer, pool)(value)
        if "CPU" not in pooled.device.upper():
            return pooled.numpy()[:rows]  # type: ignore[no-any-return]
        whole: np.ndarray = np.asarray(memoryview(pooled))  # without a copy
        return whole[:rows]

    def _pooling(self, layer: str, pool: str) -> Function:
        """Return the function from a layer's value to pooled float32 features."""
        key = (layer, pool)
        with self._lock:
            if key not in self._pools:
                self._pools[key] = self.lowered.traced(lambda x: pooling.pooled(x, pool), layer)
            return self._pools[key]


def device_name(device: str) -> str:
    """Return TensorFlow's name of a device: 'auto' is the first GPU, if there is one.

    Raises:
        SettingError: there is no such device.
    """
    tf, _ = load()
    gpus = tf.config.list_physical_devices("GPU")
    if device.lower() == "cpu" or (device.lower() == "auto" and not gpus):
        return "/CPU:0"
    if device.lower() in ("gpu", "auto") and gpus:
        tf.config.experimental.enable_tensor_float_32_execution(False)  # 10 bits of mantissa
        return "/GPU:0"
    if device.lower() == "gpu":
        raise SettingError("device 'gpu' was asked for, but TensorFlow sees no GPU here")
    raise SettingError(f"device {device!r} is none of 'auto', 'cpu', 'gpu'")
