"""A graph → rows that JSON takes, and back; `vista_sql.roster.networks` says what they hold.

A step's origin is not kept: what only that can compute is a `Foreign` step that no engine runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

import numpy as np
from msgspec import NODEFAULT
from msgspec.structs import fields

from vista_sql.roster.networks import NetworkData, StepRow, Variable

from .graph import Graph
from .steps import Operation, Step

Weights: TypeAlias = Mapping[str, Any]
"""Float32 arrays, or what has their shape and can be reshaped as they can, by variables' paths."""

OPERATIONS: Mapping[str, type[Operation]] = {kind.__name__: kind for kind in get_args(Operation)}


def graph(network: NetworkData, weights: Weights) -> Graph:
    """Return a network's graph.

    Args:
        network: its steps.
        weights: of the network; the graph refers to them.
    """
    steps = (
        Step(row.name, _operation(row, weights), row.inputs, row.shape) for row in network.steps
    )
    return Graph(network.name, steps, network.output)


def rows(network: Graph, variables: Mapping[int, Variable]) -> tuple[StepRow, ...]:
    """Return a graph's steps as they are kept.

    Args:
        network: the graph.
        variables: what its weights are, by their `id`; others are kept with their numbers.
    """
    return tuple(_row(step, variables) for step in network.steps.values())


def _operation(row: StepRow, weights: Weights) -> Operation:
    values = {name: _read(value, weights) for name, value in row.fields.items()}
    return OPERATIONS[row.kind](**values)


def _read(value: Any, weights: Weights) -> Any:
    match value:
        case {"of": path, "shape": shape}:
            return weights[path].reshape(shape)
        case {"of": path}:
            return weights[path]
        case {"constant": numbers, "dtype": dtype}:
            return np.asarray(numbers, dtype)
        case list():
            return tuple(_read(one, weights) for one in value)
    return value


def _row(step: Step, variables: Mapping[int, Variable]) -> StepRow:
    operation = step.operation
    kept = {
        field.name: _written(getattr(operation, field.name), variables)
        for field in fields(operation)
        if field.default is NODEFAULT or getattr(operation, field.name) != field.default
    }
    return StepRow(step.name, type(operation).__name__, kept, step.inputs, step.shape)


def _written(value: Any, variables: Mapping[int, Variable]) -> Any:
    if not hasattr(value, "shape"):
        return value
    if (variable := variables.get(id(value))) is None:
        array = np.asarray(value)
        return {"constant": array.tolist(), "dtype": array.dtype.name}
    shape = tuple(value.shape)
    return {"of": variable.path} | ({} if shape == variable.shape else {"shape": shape})
