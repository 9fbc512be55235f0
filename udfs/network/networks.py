"""Load a CNN and run parts of it: images, or a layer's raw maps, in; features or raw maps out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np

from vista_sql.errors import SettingError
from vista_sql.kernels import InferSpec
from vista_sql.roster import Cnn

from . import gpu, pooling
from .graph import KerasModel
from .lower import Function, Lowered
from .stopwatch import Stopwatch
from .tensorflow import Tensor, load, on_thread

Output = tuple[str, str]
"""A layer, and how its maps are pooled: one of vista_sql.kernels.POOLS."""

BUCKETS = (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Batches are padded to one of these lengths, to multiples of the graph's granule: few shapes to
compile for, and never a single row, which some operations treat as a vector."""


@dataclass(frozen=True, slots=True)
class OpenCnn:
    """A CNN whose weights are chosen and can be loaded."""

    cnn: Cnn
    identity: str  # equal identities compute equal features
    load: Callable[[], KerasModel]


def open_cnn(spec: InferSpec) -> OpenCnn:
    """Find the CNN and the weights that a spec names; loads neither TensorFlow nor the network.

    Raises:
        UnknownNameError: there is no such CNN, or there are no such weights.
        WeightsError: the weights are missing or damaged.
    """
    from vista_sql import weights

    if spec.cnn.lower().endswith(".keras"):
        load(spec.threads)  # its facts can only be read by Keras
    cnn = weights.facts(spec.cnn)
    choice = weights.resolve(cnn, spec.weights, spec.seed)

    def network() -> KerasModel:
        load(spec.threads)
        return weights.load_network(cnn, choice)

    return OpenCnn(cnn, f"{cnn.name}/{choice.identity}", network)


class Network:
    """One CNN with its weights, in one arithmetic, on one device; one thread runs it at a time."""

    def __init__(self, opened: OpenCnn, dtype: str, device: str) -> None:
        """Load the network; nothing is traced yet.

        Raises:
            SettingError: `dtype` or `device` has a value it cannot have.
            WeightsError: the weights are damaged, or of another network.
        """
        if dtype not in ("float32", "bfloat16"):
            raise SettingError(f"dtype {dtype!r} is neither 'float32' nor 'bfloat16'")
        self.cnn = opened.cnn
        place = device_name(device)
        self.on_gpu = place.startswith("/GPU")
        tf, _ = load()
        with tf.device(place), gpu.loading(opened.cnn.name, 4 * opened.cnn.parameters):
            model = opened.load()
        self._lowered = Lowered(model, opened.cnn.preprocessing, dtype, place)
        self._graph = self._lowered.graph
        self._granule = BUCKETS[0] if self.on_gpu else self._graph.granule
        self._batches = gpu.Batches(self.cnn.name, self._need(dtype), BUCKETS)
        self._place = {name: i for i, name in enumerate(self._graph.cuts)}
        features = (self.cnn.aliases.get(name, name) for name in self.cnn.feature_layers)
        self._stops = {name for name in features if name in self._place}
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, str], Function] = {}
        self._stopwatch = Stopwatch()
        self.home = cache(self._home)

    @property
    def traces(self) -> int:
        """How many functions were traced so far, whatever the batch lengths."""
        return self._lowered.traces

    @property
    def timed(self) -> dict[str, tuple[int, float]]:
        """From the image up to a layer: floating-point operations and seconds of one image.

        Of the layers that batches have stopped at since the network was loaded.
        """
        flops = {layer.name: layer.flops for layer in self.cnn.layers}
        seconds = self._stopwatch.from_start(self._graph.input)
        return {n: (flops[n], spent) for n, spent in seconds.items() if n in flops}

    def size(self, layer: str) -> int:
        """Return the values of one image's raw map of `layer`.

        Raises:
            UnknownNameError: the network has no such layer.
        """
        self._graph.check(layer)
        return prod(self._graph.steps[layer].shape or ())  # type: ignore[arg-type]

    @property
    def batch_rows(self) -> int:
        """The most images in one micro-batch, unless a spec says otherwise."""
        return self._graph.batch_rows

    def features(self, layers: Sequence[str], pool: str, images: np.ndarray) -> list[np.ndarray]:
        """Return one float32 matrix (rows, values) per layer.

        Args:
            layers: of the network, each once, in any order.
            pool: one of vista_sql.kernels.POOLS; 'none' gives raw maps, flattened row-major.
            images: uint8 (rows, height, width, channels), channels in the preprocessing's order.

        Raises:
            UnknownNameError: the network has no such layer.
        """
        return self.run(None, [(layer, pool) for layer in layers], images)

    def resume(
        self, start: str, layers: Sequence[str], pool: str, values: np.ndarray
    ) -> list[np.ndarray]:
        """Return one float32 matrix (rows, values) per layer, from a layer's raw maps.

        Args:
            start: the layer whose maps are given.
            layers: of the network, each once, in any order.
            pool: one of vista_sql.kernels.POOLS.
            values: float32 (rows, values of `start`), as `features(…, 'none', …)` returned them.

        Raises:
            UnknownNameError: the network has no such layer.
            PlanError: a layer cannot be computed from `start` alone.
        """
        return self.run(start, [(layer, pool) for layer in layers], values)

    def run(
        self, start: str | None, outputs: Sequence[Output], values: np.ndarray
    ) -> list[np.ndarray]:
        """Return one float32 matrix (rows, values) per output, of one pass.

        Args:
            start: None: images are given, as to `features`; else a layer's raw maps, as to
                `resume`.
            outputs: each once, in any order; a layer may be there with several poolings.
            values: the images or the maps.

        Raises:
            UnknownNameError: the network has no such layer.
            PlanError: a layer cannot be computed from `start` alone.
        """
        start = self._graph.input if start is None else start
        self.check_start(start, [layer for layer, _ in outputs])
        return on_thread(self._run, start, outputs, values)

    def _need(self, dtype: str) -> gpu.Need:
        steps = [
            (step.name, step.inputs, prod(side or 1 for side in step.shape or ()))
            for step in self._graph.steps.values()
        ]
        value_bytes = 4 if dtype == "float32" else 2
        return gpu.needed(steps, self.cnn.parameters, value_bytes)

    def _run(self, start: str, outputs: Sequence[Output], values: np.ndarray) -> list[np.ndarray]:
        if not self.on_gpu:
            return self._pass(start, outputs, values)
        return self._batches.run(lambda some: self._pass(start, outputs, some), values)

    def _pass(self, start: str, outputs: Sequence[Output], values: np.ndarray) -> list[np.ndarray]:
        found: dict[Output, np.ndarray] = {}
        first = self._lowered.value(padded(values, self._granule), start)
        pools: dict[str, list[str]] = {}
        for layer, pool in outputs:
            pools.setdefault(layer, []).append(pool)
        for layer, value in self._walk(start, first, set(pools)):
            for pool in pools[layer]:
                found[layer, pool] = _matrix(self._pooling(layer, pool)(value), len(values))
        return [found[output] for output in outputs]

    def check_start(self, start: str, layers: Sequence[str]) -> None:
        """Check that layers exist and can be computed from a raw map of `start`.

        Raises:
            UnknownNameError: the network has no such layer.
            PlanError: a layer cannot be computed from `start` alone.
        """
        for layer in layers:
            self._graph.check(layer)
            if start != self._graph.input:
                self._graph.check_start(start, layer)

    def _walk(self, start: str, value: Tensor, wanted: set[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield each wanted layer with its value, going up once from cut to cut."""
        run = self._lowered.function
        if start in wanted:
            yield start, run(start, start)(value) if start == self._graph.input else value
        if start not in self._place:
            for layer in wanted - {start}:
                yield layer, run(start, layer)(value)
            return
        homes = {layer: self.home(layer) for layer in wanted if layer not in self._place}
        stops = {layer for layer in wanted if layer in self._place} | set(homes.values())
        last = max((self._place[stop] for stop in stops), default=0)
        stops |= {stop for stop in self._stops if self._place[stop] < last}
        above = [s for s in self._graph.cuts if s in stops and self._place[s] > self._place[start]]
        here = start
        for stop in [start, *above]:
            if stop != here:
                with self._stopwatch.timing(here, stop, len(value)):
                    value = run(here, stop)(value)
                here = stop
                if stop in wanted:
                    yield stop, value
            for layer, home in homes.items():
                if home == stop:
                    yield layer, run(stop, layer)(value)

    def _home(self, layer: str) -> str:
        """Return the last cut from which a layer that is no cut can be computed."""
        graph = self._graph
        return next(cut for cut in reversed(graph.cuts) if graph.reachable(cut, layer))

    def _pooling(self, layer: str, pool: str) -> Function:
        """Return the function from a layer's value to pooled float32 features."""
        key = (layer, pool)
        with self._lock:
            if key not in self._pools:
                self._pools[key] = self._lowered.traced(lambda x: pooling.pooled(x, pool), layer)
            return self._pools[key]


def padded(batch: np.ndarray, granule: int) -> np.ndarray:
    """Return the batch with its last row repeated up to the next bucket of full granules."""
    rows = len(batch)
    fitting = (bucket for bucket in BUCKETS if bucket >= rows and bucket % granule == 0)
    target = next(fitting, -(-rows // granule) * granule)
    if target == rows:
        return batch
    return np.concatenate([batch, np.repeat(batch[-1:], target - rows, axis=0)])


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


def _matrix(values: Tensor, rows: int) -> np.ndarray:
    """Return the first `rows` rows of a float32 tensor, on the CPU without a copy."""
    if "CPU" not in values.device.upper():
        return values.numpy()[:rows]  # type: ignore[no-any-return]
    whole: np.ndarray[Any, Any] = np.asarray(memoryview(values))
    return whole[:rows]
