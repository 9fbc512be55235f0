"""A user's `.onnx` file open in OpenVINO: always run from the image.

What OpenVINO fuses depends on a model's outputs. So that a layer's bits do not depend on the other
layers asked for, a model that computes several has an output at every *stop* below the highest one:
a layer that all ways from the image to the top pass and that several operations read, as the end of
a residual block, if its map is small, or one that is offered by default. Any other layer has a
model of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from vista_sql.errors import PlanError
from vista_sql.kernels import BATCH_LENGTHS, rows_at_once
from vista_sql.roster import Cnn

from ...engine import Dtype, Output
from ...foreign.file import OnnxFile
from ...foreign.model import Wanted, from_pixels, from_values
from ...graph import Graph
from ...stopwatch import Stopwatch
from . import kept
from .process import Request, compiled, idle
from .stops import TAPPED, stops_of_file

if TYPE_CHECKING:
    from onnx import ModelProto

Key: TypeAlias = tuple[str, tuple[Output, ...]]
"""What a model computes: from where, and which outputs."""


class ForeignRunner:
    """The engine's `Runner` of an `.onnx` file; threads take turns."""

    on_gpu = False

    def __init__(
        self,
        cnn: Cnn,
        identity: str,
        graph: Graph,
        file: OnnxFile,
        dtype: Dtype,
        threads: int | None,
    ) -> None:
        """Take a network; nothing is compiled yet.

        Args:
            cnn: facts about it, and how it wants its images.
            identity: what tells its weights from others.
            graph: its layers.
            file: what computes them.
            dtype: of the arithmetic.
            threads: of one inference; None: one per core.
        """
        self.graph = graph
        self.batch_rows = rows_at_once(graph.widest_values, cnn.granule)
        self._cnn, self._file, self._dtype, self._threads = cnn, file, dtype, threads
        self._places = kept.Places(cnn, identity, graph.output, dtype, threads)
        self._stops = stops_of_file(cnn, graph)
        self._requests: dict[Key, Request] = {}
        self._stopwatch = Stopwatch()
        self._lock = threading.Lock()

    @property
    def seconds_from_image(self) -> dict[str, float]:
        """See `Runner`."""
        return self._stopwatch.from_start(self.graph.input)

    def run(self, start: str, outputs: Sequence[Output], values: np.ndarray) -> list[np.ndarray]:
        """See `Runner`."""
        with self._lock:
            found: dict[Output, np.ndarray] = {}
            for together in self._passes(start, outputs):
                top = self._topmost(together)
                with self._stopwatch.timing(start, top, len(values)):
                    found |= self._infer((start, together), values)
            return [found[output] for output in outputs]

    def rest(self) -> None:
        """See `Runner`."""
        with self._lock:
            self._requests = {key: idle(request) for key, request in self._requests.items()}

    def _passes(self, start: str, outputs: Sequence[Output]) -> Iterator[tuple[Output, ...]]:
        """Yield the outputs that a model computes together."""
        from_image = start == self.graph.input
        together = [output for output in outputs if from_image and output[0] in self._stops]
        if together:
            asked = {layer for layer, _ in together}
            below = self._stops[: max(map(self._stops.index, asked)) + 1]
            beside = [(stop, TAPPED) for stop in below if stop not in asked]
            # bottom to top: each is pooled before the next, which may have its memory
            yield tuple(sorted([*together, *beside], key=lambda one: (below.index(one[0]), one[1])))
        for layer in sorted({layer for layer, _ in outputs}.difference(x for x, _ in together)):
            yield tuple(sorted(output for output in outputs if output[0] == layer))

    def _topmost(self, outputs: Sequence[Output]) -> str:
        flops = {layer: self._cnn.layer(layer).flops for layer, _ in outputs}
        return max(flops, key=lambda layer: flops[layer])

    def _infer(self, key: Key, values: np.ndarray) -> dict[Output, np.ndarray]:
        if key not in self._requests:
            place = self._places.of(self._cnn.fixed_rows, key)
            self._requests[key] = compiled(self._writing(key), self._dtype, self._threads, place)
        request, n_rows = self._requests[key], len(values)
        fixed = self._cnn.fixed_rows if key[0] == self.graph.input else None
        at_once = fixed or max(n_rows, BATCH_LENGTHS[0])
        parts: list[list[np.ndarray]] = []
        for first in range(0, n_rows, at_once):
            batch = values[first : first + at_once]
            filled = np.zeros((at_once - len(batch), *values.shape[1:]), values.dtype)
            request.infer({0: np.ascontiguousarray(np.concatenate([batch, filled]))})
            parts.append(  # copied: the next batch is written into the same places
                [
                    request.get_output_tensor(place).data[: len(batch)].copy()
                    for place in range(len(key[1]))
                ]
            )
        return {
            output: np.concatenate(found)
            for output, found in zip(key[1], zip(*parts, strict=True), strict=True)
        }

    def _writing(self, key: Key) -> Callable[[], bytes]:
        """Return what gives a model, serialized.

        Raises:
            PlanError: layers are wanted from the values of another.
        """
        start, outputs = key
        wanted = [Wanted(self._cnn.layer(layer), pool) for layer, pool in outputs]
        if start == self.graph.input:
            in_products = self._dtype == "bfloat16"
            write = partial(from_pixels, self._file, self._cnn, wanted, in_products)
            return partial(_serialized, write)
        for one in wanted:
            if one.layer.name != start:
                raise PlanError(
                    f"layer {one.layer.name!r} cannot be computed from {start!r}: a network in an "
                    ".onnx file is run from the image"
                )
        return partial(_serialized, partial(from_values, wanted[0].layer, [p for _, p in outputs]))


def _serialized(write: Callable[[], ModelProto]) -> bytes:
    return write().SerializeToString()  # type: ignore[no-any-return]
