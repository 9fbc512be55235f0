"""Load a CNN and run parts of it: images, or a layer's raw maps, in; features or raw maps out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np

from vista_sql.errors import SettingError
from vista_sql.kernels import InferSpec
from vista_sql.roster import Cnn

from . import engine, keras_reader
from .graph import Graph
from .stopwatch import Stopwatch

Output = tuple[str, str]
"""A layer, and how its maps are pooled: one of vista_sql.kernels.POOLS."""


@dataclass(frozen=True, slots=True)
class OpenCnn:
    """A CNN whose weights are chosen and can be loaded."""

    cnn: Cnn
    identity: str  # equal identities compute equal features
    load: Callable[[], Graph]


def open_cnn(spec: InferSpec) -> OpenCnn:
    """Find the CNN and the weights that a spec names; imports Keras only to read a .keras file.

    Raises:
        UnknownNameError: there is no such CNN, or there are no such weights.
        WeightsError: the weights are missing or damaged.
    """
    from vista_sql import weights

    if spec.cnn.lower().endswith(".keras"):
        keras_reader.keras(spec.threads)  # its facts can only be read by Keras
    cnn = weights.facts(spec.cnn)
    choice = weights.resolve(cnn, spec.weights, spec.seed)

    def graph() -> Graph:
        keras_reader.keras(spec.threads)
        return keras_reader.read(weights.load_network(cnn, choice))

    return OpenCnn(cnn, f"{cnn.name}/{choice.identity}", graph)


class Network:
    """One CNN with its weights, in one arithmetic, on one device; one thread runs it at a time."""

    def __init__(
        self,
        opened: OpenCnn,
        dtype: str,
        device: str,
        threads: int | None = None,
        engine_name: str = "tensorflow",
    ) -> None:
        """Load the network; nothing is compiled yet.

        Args:
            opened: the CNN.
            dtype: of the arithmetic, 'float32' or 'bfloat16'.
            device: 'auto', 'cpu' or 'gpu'.
            threads: of one operation, where the engine can still choose; None: one per core.
            engine_name: of the engine that runs it.

        Raises:
            SettingError: `dtype` or `device` has a value it cannot have.
            WeightsError: the weights are damaged, or of another network.
        """
        arithmetic = next((known for known in engine.DTYPES if known == dtype), None)
        if arithmetic is None:
            raise SettingError(f"dtype {dtype!r} is neither 'float32' nor 'bfloat16'")
        self.cnn = opened.cnn
        self.runner = engine.load(engine_name).open(
            opened.cnn, opened.load, arithmetic, device, threads
        )
        self.graph = self.runner.graph
        self.on_gpu = self.runner.on_gpu
        self.batch_rows = self.runner.batch_rows
        """The most images in one micro-batch, unless a spec says otherwise."""
        self._place = {name: i for i, name in enumerate(self.graph.cuts)}
        features = (self.cnn.aliases.get(name, name) for name in self.cnn.feature_layers)
        self._stops = {name for name in features if name in self._place}
        self._stopwatch = Stopwatch()
        self.home = cache(self._home)

    @property
    def timed(self) -> dict[str, tuple[int, float]]:
        """From the image up to a layer: floating-point operations and seconds of one image.

        Of the layers that batches have stopped at since the network was loaded.
        """
        flops = {layer.name: layer.flops for layer in self.cnn.layers}
        seconds = self._stopwatch.from_start(self.graph.input)
        return {n: (flops[n], spent) for n, spent in seconds.items() if n in flops}

    def size(self, layer: str) -> int:
        """Return the values of one image's raw map of `layer`.

        Raises:
            UnknownNameError: the network has no such layer.
        """
        self.graph.check(layer)
        return prod(self.graph.steps[layer].shape or ())  # type: ignore[arg-type]

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
        start = self.graph.input if start is None else start
        self.check_start(start, [layer for layer, _ in outputs])
        return self.runner.call(lambda rows: self._pass(start, outputs, rows), values)

    def check_start(self, start: str, layers: Sequence[str]) -> None:
        """Check that layers exist and can be computed from a raw map of `start`.

        Raises:
            UnknownNameError: the network has no such layer.
            PlanError: a layer cannot be computed from `start` alone.
        """
        for layer in layers:
            self.graph.check(layer)
            if start != self.graph.input:
                self.graph.check_start(start, layer)

    def _pass(self, start: str, outputs: Sequence[Output], values: np.ndarray) -> list[np.ndarray]:
        matrices: dict[Output, np.ndarray] = {}
        first = self.runner.enter(values, start)
        pools: dict[str, list[str]] = {}
        for layer, pool in outputs:
            pools.setdefault(layer, []).append(pool)
        for layer, value in self._walk(start, first, set(pools)):
            for pool in pools[layer]:
                matrices[layer, pool] = self.runner.leave(value, layer, pool, len(values))
        return [matrices[output] for output in outputs]

    def _walk(self, start: str, value: Sized, wanted: set[str]) -> Iterator[tuple[str, Sized]]:
        """Yield each wanted layer with the engine's value, going up once from cut to cut."""
        segment = self.runner.segment
        if start in wanted:
            yield start, segment(start, start)(value) if start == self.graph.input else value
        if start not in self._place:
            for layer in wanted - {start}:
                yield layer, segment(start, layer)(value)
            return
        homes = {layer: self.home(layer) for layer in wanted if layer not in self._place}
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

    def _home(self, layer: str) -> str:
        """Return the last cut from which a layer that is no cut can be computed."""
        graph = self.graph
        return next(cut for cut in reversed(graph.cuts) if graph.reachable(cut, layer))
