"""A network open in OpenVINO: a model from the image, or from a stop, to all stops above it.

A *stop* is a feature layer, or a joint of a network in a file. What OpenVINO fuses depends on a
model's outputs. So that a layer's bits do not depend on the other layers asked for, a model's
outputs are always all stops up to the highest one wanted; any other layer has a model of its own,
from the stop below it. So that they do not depend on where a model begins, one that begins at a
stop has that layer too among its outputs: how a sum with its values is computed depends on who
else reads them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from msgspec import Struct

from vista_sql.errors import PlanError
from vista_sql.kernels import rows_at_once
from vista_sql.roster import Cnn

from ... import onnx_emitter
from ...engine import Dtype, Output
from ...graph import Graph
from ...stopwatch import Stopwatch
from . import kept
from .process import Request, compiled, idle
from .stops import TAPPED, stops


class ModelKey(Struct, frozen=True):
    """What a model computes: `outputs`, layers bottom to top, from `start`.

    `start` is the first of them, if it is a stop.
    """

    start: str
    outputs: tuple[Output, ...]


class Compiled(Struct):
    """A compiled model, and the weights that it reads: they live as long as it does."""

    request: Request
    weights: list[np.ndarray]


class OpenVinoRunner:
    """The engine's `Runner`; threads take turns."""

    on_gpu = False

    def __init__(
        self, cnn: Cnn, identity: str, graph: Graph, dtype: Dtype, threads: int | None
    ) -> None:
        """Take a network; nothing is compiled yet.

        Args:
            cnn: facts about it.
            identity: what tells its weights from others.
            graph: the network, with its weights.
            dtype: of the arithmetic.
            threads: of one inference; None: one per core.
        """
        self.graph = graph
        self.batch_rows = rows_at_once(self.graph.widest_values, cnn.granule)
        self._cnn, self._dtype, self._threads = cnn, dtype, threads
        self._places = kept.Places(cnn, identity, graph.output, dtype, threads)
        self._stops = stops(cnn, graph)
        self._compiled_models: dict[ModelKey, Compiled] = {}
        self._stopwatch = Stopwatch()
        self._lock = threading.Lock()

    @property
    def seconds_from_image(self) -> dict[str, float]:
        """See `Runner`."""
        return self._stopwatch.from_start(self.graph.input)

    def run(self, start: str, outputs: Sequence[Output], values: np.ndarray) -> list[np.ndarray]:
        """See `Runner`."""
        with self._lock:
            return self._pass(start, outputs, values)

    def rest(self) -> None:
        """See `Runner`."""
        with self._lock:
            for model in self._compiled_models.values():
                model.request = idle(model.request)

    def _pass(self, start: str, outputs: Sequence[Output], values: np.ndarray) -> list[np.ndarray]:
        above = self._above(start)
        homes = {layer: self._home(layer, start, above) for layer, _ in outputs}
        beside = {layer: home for layer, home in homes.items() if layer not in above}
        raw = set(beside.values())
        on_way = [layer for layer in above if layer in homes or layer in raw]
        needed = {*outputs, *((home, "none") for home in raw)}
        found = {(start, "none"): values}
        if on_way:
            begins = [start] if start in self._stops else []
            layers = [*begins, *above[: above.index(on_way[-1]) + 1]]
            key = ModelKey(start, tuple(self._pooled(layers, needed)))
            with self._stopwatch.timing(start, layers[-1], len(values)):
                found |= self._infer(key, values, needed)
        for layer, home in beside.items():
            wanted = tuple(sorted(output for output in outputs if output[0] == layer))
            found |= self._infer(ModelKey(home, wanted), found[home, "none"], needed)
        return [found[output] for output in outputs]

    def _pooled(self, layers: Sequence[str], needed: set[Output]) -> Iterator[Output]:
        """Yield the outputs of a model at its stops.

        Feature layers have all poolings that any of the stops has: what is asked for next may be of
        another one, and need no other model.
        """
        pools = {pool for layer, pool in needed if layer in layers}
        for layer in layers:
            own = pools
            if layer in self._cnn.joints:
                own = {pool for other, pool in needed if other == layer} or {TAPPED}
            yield from ((layer, pool) for pool in sorted(own))

    def _above(self, start: str) -> list[str]:
        """Return the stops on every way up from a start, bottom to top."""
        if start == self.graph.input:
            return self._stops
        reachable = self.graph.reachable
        return [stop for stop in self._stops if stop != start and reachable(start, stop)]

    def _home(self, layer: str, start: str, above: Sequence[str]) -> str:
        """Return the last stop from which another layer can be computed, or the start."""
        reachable = (stop for stop in reversed(above) if self.graph.reachable(stop, layer))
        return next(reachable, start)

    def _infer(
        self, key: ModelKey, values: np.ndarray, needed: set[Output]
    ) -> dict[Output, np.ndarray]:
        if key not in self._compiled_models:
            self._compiled_models[key] = self._compiled(key)
        request = self._compiled_models[key].request
        request.infer({0: np.ascontiguousarray(values)}, share_inputs=True)
        return {  # copied: the next batch is written into the same places
            output: request.get_output_tensor(place).data.copy()
            for place, output in enumerate(key.outputs)
            if output in needed
        }

    def _compiled(self, key: ModelKey) -> Compiled:
        """Compile a model, whose weights OpenVINO reads where they are if it can."""
        weights: list[np.ndarray] = []
        try:
            write = partial(self._written, key, weights)
            request = compiled(write, self._dtype, self._threads, self._places.of(key))
        except PlanError:  # told by the model that has them, if they are not the reason
            weights = []
            write = partial(self._written, key, None)
            request = compiled(write, self._dtype, self._threads)
        return Compiled(request, weights)

    def _written(self, key: ModelKey, beside: list[np.ndarray] | None) -> bytes:
        wanted = [onnx_emitter.Output(*output, " ".join(output)) for output in key.outputs]
        source = None if key.start == self.graph.input else key.start
        preprocessing = self._cnn.preprocessing
        model = onnx_emitter.emit(
            self.graph, preprocessing, wanted, source, beside, self._dtype == "bfloat16"
        )
        return model.SerializeToString()  # type: ignore[no-any-return]
