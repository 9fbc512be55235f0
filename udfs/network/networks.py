"""Load a CNN and run parts of it: images, or a layer's raw maps, in; features or raw maps out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from math import prod

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import PlanError, SettingError
from vista_sql.kernels import InferSpec
from vista_sql.roster import Cnn, kind_of_file
from vista_sql.weights import WeightsChoice

from . import engine, keras_reader, serial
from .computations import Computations, computations
from .deferred import Deferred
from .engine import Output
from .foreign import file as onnx_file
from .foreign import model as foreign
from .graph import Graph

PARTS_BYTES = 1 << 30
"""Weights of the parts of a network that are kept compiled."""

WEIGHT_COPIES = 2
"""What an engine keeps of a part's weights: with norms folded in, and as its kernels want them."""

IMAGE = ""
"""The layer that is the image, as the catalogue has it."""


class OpenCnn(Struct, frozen=True):
    """A CNN whose weights are chosen and can be loaded."""

    cnn: Cnn  # its preprocessing is that of the spec and the weights
    identity: str  # equal identities compute equal features of equal input
    load: Callable[[], Graph]  # through Keras: its weights are variables of the current device
    load_data: Callable[[], Graph] | None = None
    """The same without Keras, its weights are arrays; None: as `load` loads it."""
    weights: str = ""
    """`WeightsChoice.identity`; "": `identity` tells them, too."""
    computations: Callable[[str], Computations | None] | None = None
    """Of an engine's name, what it computes on the way to each layer; None: nobody knows."""

    def computation(self, layer: str, engine_name: str) -> str:
        """Return a digest of what an engine computes up to a layer; "": nobody knows."""
        known = None if self.computations is None else self.computations(engine_name)
        return "" if known is None else known.of(layer)


def open_cnn(spec: InferSpec) -> OpenCnn:
    """Find the CNN and the weights that a spec names; Keras is imported by loading them.

    Raises:
        UnknownNameError: there is no such CNN, or there are no such weights.
        WeightsError: the weights are missing or damaged; a file holds no network.
    """
    from vista_sql import weights
    from vista_sql.weights.onnx_files import Pixels

    cnn = weights.facts(spec.cnn, Pixels(spec.mean, spec.scale, spec.channels))
    choice = weights.resolve(cnn, spec.weights, spec.seed)
    wanted = weights.preprocessing(cnn, spec.weights).asked(spec.resize, spec.fit)
    if wanted != cnn.preprocessing:
        cnn = replace(cnn, preprocessing=wanted)
    if kind_of_file(cnn.name) == "onnx":
        return _open_onnx_file(cnn, choice)

    def graph() -> Graph:
        keras_reader.keras(spec.threads)
        return keras_reader.read(weights.load_network(cnn, choice))

    def data() -> Graph:
        network = weights.network_data(cnn)
        arrays = Deferred(network.variables, lambda: weights.load_arrays(cnn, choice))
        return serial.graph(network, arrays)

    return OpenCnn(
        cnn,
        f"{cnn.name}/{choice.identity}",
        graph,
        data,
        choice.identity,
        partial(computations, cnn, choice),
    )


def _open_onnx_file(cnn: Cnn, choice: WeightsChoice) -> OpenCnn:
    def graph() -> Graph:
        raise PlanError(f"{cnn.name} is no Keras network: engine => 'openvino' runs it")

    def data() -> Graph:
        return foreign.graph_of(cnn, onnx_file.read(cnn.name))

    pixels = cnn.preprocessing
    said = f"{pixels.order} {pixels.mean} {pixels.scale}"
    known = partial(computations, cnn, choice)
    whole = f"{cnn.name}/{choice.identity}/{said}"
    return OpenCnn(cnn, whole, graph, data, choice.identity, known)


def _read(opened: OpenCnn, runs: engine.Engine) -> Graph:
    """Return a CNN as an engine runs it: as data, if it does not need Keras's layers."""
    data = opened.load_data
    if data is None or runs.needs_keras(opened.cnn, data):
        return opened.load()
    return data()


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
        self._opened, self._arithmetic = opened, arithmetic
        self._device, self._threads = device, threads
        self._parts: OrderedDict[Hashable, tuple[engine.Runner, int]] = OrderedDict()
        self._engine = runs = engine.load(engine_name)
        read = partial(_read, opened, runs)
        self.runner = runs.open(opened.cnn, opened.identity, read, arithmetic, device, threads)
        self.graph = self.runner.graph
        self.on_gpu = self.runner.on_gpu
        self.batch_rows = self.runner.batch_rows
        """The most images in one micro-batch, unless a spec says otherwise."""

    @property
    def timed(self) -> dict[str, tuple[int, float]]:
        """From the image up to a layer: floating-point operations and seconds of one image.

        Of the layers that batches have stopped at since the network was loaded.
        """
        flops = {layer.name: layer.flops for layer in self.cnn.layers}
        seconds = self.runner.seconds_from_image
        return {n: (flops[n], spent) for n, spent in seconds.items() if n in flops}

    def part(
        self, key: Hashable, make: Callable[[], Graph], most_bytes: int = PARTS_BYTES
    ) -> engine.Runner:
        """Return what runs a part of the network on smaller maps; used by one thread at a time.

        Args:
            key: tells parts from each other.
            make: returns the part, with the network's weights.
            most_bytes: that weights of all parts may take; those that were not used for longest go.

        Raises:
            PlanError: the engine cannot run it.
        """
        if key not in self._parts:
            graph = make()
            held = WEIGHT_COPIES * graph.weight_bytes
            while self._parts and held + sum(size for _, size in self._parts.values()) > most_bytes:
                self._parts.popitem(last=False)
            height, width, channels = (side or 1 for side in graph.steps[graph.input].shape or ())
            facts = replace(
                self.cnn,
                input_shape=(height, width, channels),
                feature_layers=(),
                aliases={},
                parameters=0,  # such a model is compiled as fast as a kept one is read
                catalogue=(),
            )
            identity = f"{self._opened.identity}/part"
            runner = self._engine.open(
                facts, identity, lambda: graph, self._arithmetic, self._device, self._threads
            )
            self._parts[key] = runner, held
        self._parts.move_to_end(key)
        return self._parts[key][0]

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
            outputs: each once, in any order; a layer may be there with several poolings. The
                layer "" is the image: its values are the pixels.
            values: the images or the maps.

        Raises:
            UnknownNameError: the network has no such layer.
            PlanError: a layer cannot be computed from `start` alone.
        """
        computed = [output for output in outputs if output[0] != IMAGE]
        if len(computed) < len(outputs) and start is None:
            found = iter(self.run(None, computed, values) if computed else ())
            pixels = values.reshape(len(values), -1).astype(np.float32)
            return [next(found) if output in computed else pixels for output in outputs]
        start = self.graph.input if start is None else start
        self.check_start(start, [layer for layer, _ in outputs])
        return self.runner.run(start, outputs, values)

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
