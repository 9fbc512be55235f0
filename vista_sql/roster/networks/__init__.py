"""What each CNN's network is, known without Keras: its steps, and the layers that have weights.

`<name>.json` is written by `scripts/build_catalogue.py` from the network that Keras builds, and a
test compares the two. A step's operation and its fields are those of `udfs/network/steps.py`; a
field that is a weight names its variable, `<layer>/<variable>`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from typing import Any, TypeAlias

from msgspec import Struct

Initial: TypeAlias = float | tuple[float, ...]
"""One number for all places, or one for each."""


class Variable(Struct, frozen=True, eq=False):
    """Numbers that a layer learns or keeps; each is itself, whatever it is called."""

    layer: str  # its name; of a layer in an inner network `<network>/<layer>`
    name: str
    shape: tuple[int, ...]
    initial: Initial | None = None  # None: not known, or random weights have others

    @property
    def path(self) -> str:
        """What steps call it."""
        return f"{self.layer}/{self.name}"


class Weighted(Struct, frozen=True, eq=False):
    """A layer that has weights, or an inner network of such layers."""

    name: str  # its own
    kind: str  # Keras's or the roster's class
    variables: tuple[Variable, ...]  # in Keras's order; of an inner network all in it
    inner: tuple[Weighted, ...] = ()


class StepRow(Struct, frozen=True):
    """A step as it is written: `fields` are those of the operation that are not as by default."""

    name: str
    kind: str  # the operation's class
    fields: Mapping[str, Any]
    inputs: tuple[str, ...]
    shape: tuple[int | None, ...] | None


class NetworkData(Struct, frozen=True, dict=True):
    """A network, bottom to top."""

    name: str
    layers: tuple[Weighted, ...]  # in Keras's order
    steps: tuple[StepRow, ...]
    output: str  # the step at the top

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """All variables, in Keras's order."""
        return tuple(variable for layer in self.layers for variable in layer.variables)


def read(name: str) -> NetworkData:
    """Return the network of a CNN of the roster.

    Raises:
        OSError: the roster has no such CNN.
    """
    return parsed(name, (files(__name__) / f"{name}.json").read_text(encoding="utf-8"))


def parsed(name: str, text: str) -> NetworkData:
    """Return the network that `written` gave the text of."""
    record = json.loads(text)
    return NetworkData(
        name,
        tuple(_layer(row, "") for row in record["layers"]),
        tuple(
            StepRow(
                row["name"],
                row["kind"],
                row.get("fields", {}),
                tuple(row.get("inputs", ())),
                None if row["shape"] is None else tuple(row["shape"]),
            )
            for row in record["steps"]
        ),
        record["output"],
    )


def written(network: NetworkData) -> str:
    """Return the text of a file: a line per layer and per step."""
    layers = ",\n".join(json.dumps(_layer_row(layer)) for layer in network.layers)
    steps = ",\n".join(json.dumps(_step_row(step)) for step in network.steps)
    output = json.dumps(network.output)
    return f'{{"output": {output}, "layers": [\n{layers}\n], "steps": [\n{steps}\n]}}\n'


def leaves(layers: Iterable[Weighted]) -> Iterator[Weighted]:
    """Yield the layers, and instead of an inner network those in it."""
    for layer in layers:
        if layer.inner:
            yield from leaves(layer.inner)
        else:
            yield layer


def _layer(row: Mapping[str, Any], prefix: str) -> Weighted:
    path = f"{prefix}{row['name']}"
    if "layers" in row:
        inner = tuple(_layer(one, f"{path}/") for one in row["layers"])
        variables = tuple(variable for layer in inner for variable in layer.variables)
        return Weighted(row["name"], row["class"], variables, inner)
    variables = tuple(
        Variable(path, name, tuple(shape), *map(_initial, initial))
        for name, shape, *initial in row["variables"]
    )
    return Weighted(row["name"], row["class"], variables)


def _initial(value: float | list[float]) -> Initial:
    return tuple(value) if isinstance(value, list) else value


def _layer_row(layer: Weighted) -> dict[str, Any]:
    row: dict[str, Any] = {"name": layer.name, "class": layer.kind}
    if layer.inner:
        return row | {"layers": [_layer_row(one) for one in layer.inner]}
    return row | {
        "variables": [
            [one.name, one.shape] + ([] if one.initial is None else [one.initial])
            for one in layer.variables
        ]
    }


def _step_row(step: StepRow) -> dict[str, Any]:
    row: dict[str, Any] = {"name": step.name, "kind": step.kind, "fields": step.fields}
    row |= {"inputs": step.inputs}
    return {name: value for name, value in row.items() if value} | {"shape": step.shape}
