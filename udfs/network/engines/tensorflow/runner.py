"""A network open in TensorFlow: functions from cut to cut, batches of few lengths, one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from math import prod

import numpy as np

from vista_sql.errors import SettingError
from vista_sql.kernels import BATCH_LENGTHS, rows_at_once
from vista_sql.roster import Cnn

from ...engine import Dtype, Output
from ...graph import Graph
from ...stopwatch import Stopwatch
from . import gpu, pooling
from .batch_lengths import block_rows, granule, padded
from .lower import Function, Lowered
from .process import Tensor, load, on_thread


class TensorFlowRunner:
    """The engine's `Runner`, made in TensorFlow's thread."""

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
        widest, shortest = self.graph.widest_values, BATCH_LENGTHS[0]
        self._granule = shortest if self.on_gpu else granule(self.graph)
        self.batch_rows = rows_at_once(widest, self._granule)
        rows = block_rows(self.graph)
        self.lowered = Lowered(self.graph, cnn.preprocessing, dtype, place, rows)
        steps = [
            (step.name, step.inputs, prod(side or 1 for side in step.shape or ()))
            for step in self.graph.steps.values()
        ]
        need = gpu.needed(steps, cnn.parameters, 4 if dtype == "float32" else 2)
        self.guard = gpu.Guard(cnn.name, need, BATCH_LENGTHS)
        self._place = {name: i for i, name in enumerate(self.graph.cuts)}
        features = (cnn.aliases.get(name, name) for name in cnn.feature_layers)
        self._stops = {name for name in features if name in self._place}
        self._stopwatch = Stopwatch()
        self._home = cache(self.graph.home)
        self._pools: dict[tuple[str, str], Function] = {}
        self._lock = threading.Lock()

    @property
    def seconds_from_image(self) -> dict[str, float]:
        """See `Runner`."""
        return self._stopwatch.from_start(self.graph.input)

    def run(self, start: str, outputs: Sequence[Output], values: np.ndarray) -> list[np.ndarray]:
        """See `Runner`; may be called outside TensorFlow's thread."""
        work = partial(self._pass, start, outputs)
        if self.on_gpu:  # cut into pieces where its memory takes no more
            return on_thread(self.guard.run, work, values)
        return on_thread(work, values)

    def rest(self) -> None:
        """See `Runner`; TensorFlow frees what a pass computed when it ends."""

    def _pass(self, start: str, outputs: Sequence[Output], values: np.ndarray) -> list[np.ndarray]:
        matrices: dict[Output, np.ndarray] = {}
        first = self.lowered.value(padded(values, self._granule), start)
        pools: dict[str, list[str]] = {}
        for layer, pool in outputs:
            pools.setdefault(layer, []).append(pool)
        for layer, value in self._walk(start, first, set(pools)):
            for pool in pools[layer]:
                matrices[layer, pool] = self._pooled(value, layer, pool, len(values))
        return [matrices[output] for output in outputs]

    def _walk(self, start: str, value: Tensor, wanted: set[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield each wanted layer with its value, going up once from cut to cut."""
        segment = self.lowered.function
        if start in wanted:
            yield start, segment(start, start)(value) if start == self.graph.input else value
        if start not in self._place:
            for layer in wanted - {start}:
                yield layer, segment(start, layer)(value)
            return
        homes = {layer: self._home(layer) for layer in wanted if layer not in self._place}
        stops = {layer for layer in wanted if layer in self._place} | set(homes.values())
        last = max((self._place[stop] for stop in stops), default=0)
        stops |= {stop for stop in self._stops if self._place[stop] < last}
        above = [s for s in self.graph.cuts if s in stops and self._place[s] > self._place[start]]
        here = start
        for stop in [start, *above]:
            if stop != here:
                with self._stopwatch.timing(here, stop, len(value)):
                    value = segment(here, stop)(value)
                here = stop
                if stop in wanted:
                    yield stop, value
            for layer, home in homes.items():
                if home == stop:
                    yield layer, segment(stop, layer)(value)

    def _pooled(self, value: Tensor, layer: str, pool: str, rows: int) -> np.ndarray:
        """Return float32 (rows, values): the first `rows` of a step's values, pooled."""
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
