"""What is computed on the way to a layer, as a digest: equal ones give an image equal bits.

A layer's value is what a row of *parts* compute, each by one model or function of an engine, from
the image or a layer's value to other layers. A part is written down step by step, bottom to top,
with numbers for names: what each step computes, grouped and folded as it is run, its weights'
digests, the numbers of what it reads, and how many read it. What lies above a layer is not in it,
but for what decides how the layer itself is computed. So networks that begin alike have equal
digests as far as they are alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any

import numpy as np

from vista_sql import weights
from vista_sql.errors import PlanError, WeightsError
from vista_sql.roster import Cnn, kind_of_file
from vista_sql.weights import WeightsChoice, onnx_files

from . import engine, hog, serial
from .engine import Part
from .foreign import model as foreign
from .graph import Graph
from .steps import Step

DIGEST_BYTES = 16


class Named:
    """A weight of which the shape is known, and a digest of its numbers."""

    def __init__(self, shape: tuple[int, ...], digest: str) -> None:
        self.shape, self.digest = shape, digest

    def reshape(self, shape: tuple[int, ...]) -> Named:
        """Return the same numbers, row-major, in another shape."""
        return Named(tuple(shape), self.digest)


class Computations:
    """The digests of one network's layers, as one engine computes them."""

    def __init__(
        self,
        cnn: Cnn,
        graph: Graph,
        parts: engine.Parts,
        written: Callable[[Part], Sequence[str]],
    ) -> None:
        """Digest nothing yet.

        Args:
            cnn: facts about the network.
            graph: its steps.
            parts: the engine's.
            written: returns all that decides what a part computes, as lines.
        """
        self._cnn, self._graph, self._parts, self._written = cnn, graph, parts, written
        self._digests: dict[str, str] = {}

    def of(self, layer: str) -> str:
        """Return the digest of a layer, by the network's own name; "": it has none."""
        if layer not in self._digests:
            step = self._graph.steps.get(layer)
            known = step is not None and step.shape is not None
            self._digests[layer] = self._digest(layer) if known else ""
        return self._digests[layer]

    def _digest(self, layer: str) -> str:
        parts = self._parts(self._cnn, self._graph, layer)
        try:
            lines = [line for part in parts for line in (part.note, *self._written(part))]
        except KeyError:  # one of its layers has no digest
            return ""
        return _digest("\n".join(lines).encode())


class Writer:
    """Writes parts of a network that is known as data."""

    def __init__(self, graph: Graph) -> None:
        """Take a network.

        Args:
            graph: its steps; weights are `Named`.
        """
        self._graph = graph
        self._texts: dict[str, str] = {}  # of steps, whatever is around them

    def written(self, part: Part) -> list[str]:
        """Return a part's steps, bottom to top, and which of them are its results."""
        graph, source = self._graph, part.source
        order = graph.order(part.targets, source)
        numbers = {} if source is None else {source: 0}
        numbers |= {name: number for number, name in enumerate(order, 1)}
        lines = []
        for name in order:
            inputs = [numbers[need] for need in graph.needs(name, source)]
            n_users = 0 if name == part.targets[-1] else len(graph.users(name))
            lines.append(f"{self._text(name, source)} of {inputs} for {n_users}")
        return [*lines, f"to {[numbers[name] for name in part.targets]}"]

    def _text(self, name: str, source: str | None) -> str:
        """Return what computes a step, with those of its group that it is computed with."""
        graph, group = self._graph, self._graph.group_of(name)
        if group is None:
            return self._step(name)
        if source is not None and graph.tail_is_exact(source, name):
            return f"{self._step(name)} alone"
        texts = [self._step(one) for one in group.members[: group.members.index(name) + 1]]
        if group.pad is not None:
            is_given = group.pad == source
            texts.insert(0, f"{self._step(group.pad)}{' that is given' if is_given else ''}")
        return " + ".join(texts)

    def _step(self, name: str) -> str:
        if name not in self._texts:
            self._texts[name] = _described(self._graph.steps[name])
        return self._texts[name]


def _described(step: Step) -> str:
    """Return a step's operation and the shape of its result as text."""
    operation = step.operation
    values = {name: _value(getattr(operation, name)) for name in operation.__struct_fields__}
    return f"{type(operation).__name__} {json.dumps(values)} {step.shape}"


def _value(value: Any) -> Any:
    match value:
        case Named():
            return {"of": value.digest, "shape": value.shape}
        case np.ndarray():
            numbers = np.ascontiguousarray(value)
            kind = numbers.dtype.str
            return {"of": _digest(numbers.tobytes()), "shape": numbers.shape, "dtype": kind}
    return value


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def computations(cnn: Cnn, choice: WeightsChoice, engine_name: str) -> Computations | None:
    """Return the digests of a network with its weights; a file's weights are read once for them.

    Args:
        cnn: facts about it.
        choice: what `weights.resolve` returned for it.
        engine_name: who runs it.

    Returns:
        None: how it is computed is not known as data.
    """
    return None if cnn.name == hog.NAME else _computations(cnn.name, choice, engine_name)


@lru_cache(maxsize=64)
def _computations(name: str, choice: WeightsChoice, engine_name: str) -> Computations | None:
    cnn, parts = weights.facts(name), engine.load(engine_name).parts
    if kind_of_file(name) == "onnx":
        graph = foreign.graph_of(cnn)
        written = partial(_written_of_file, cnn, onnx_files.computations(cnn))
        return Computations(cnn, graph, parts, written)
    try:
        network = weights.network_data(cnn)
        held = weights.variable_digests(cnn, choice)
    except (PlanError, WeightsError):  # only Keras can compute it, or read the file
        return None
    named = {one.path: Named(one.shape, held[one.path]) for one in network.variables}
    graph = serial.graph(network, named)
    return Computations(cnn, graph, parts, Writer(graph).written)


def _written_of_file(cnn: Cnn, digests: Mapping[str, str], part: Part) -> list[str]:
    """Return what decides what a part of an `.onnx` file's network computes: its results do."""
    layers = [cnn.layer(name) for name in part.targets]
    results = [f"{digests[x.name]} {x.shape} {x.layout} {x.grid}" for x in layers]
    return [f"{cnn.fixed_rows} rows", *results]
