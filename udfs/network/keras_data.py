"""A Keras network → what is kept of it as data, for who runs it without Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from msgspec.structs import replace

from vista_sql.roster.networks import Initial, NetworkData, StepRow, Variable, Weighted
from vista_sql.weights import described, random_weights
from vista_sql.weights.described import Description

from . import keras_reader, serial

KerasModel: TypeAlias = Any
KerasVariable: TypeAlias = Any

IMAGE = "image"
"""The step that is the network's input."""


def network_data(model: KerasModel, name: str) -> NetworkData:
    """Return an untrained functional Keras network as data, with what its variables begin with.

    Args:
        model: untrained, or with random weights.
        name: what it is called.

    Raises:
        PlanError: the network has several inputs, or is not functional.
    """
    description, holders = described.of_keras(model)
    found = trained_data(model, name, description, holders)
    image = next(row.name for row in found.steps if not row.inputs)
    return replace(
        found,
        steps=tuple(_renamed(row, image) for row in found.steps),
        layers=tuple(_with_initial(layer, holders) for layer in found.layers),
    )


def trained_data(
    model: KerasModel,
    name: str,
    description: Description,
    holders: Mapping[Variable, KerasVariable],
) -> NetworkData:
    """Return a functional Keras network as data, without its weights.

    Args:
        model: the network.
        name: what it is called.
        description: of it, as `described.of_keras` returned it.
        holders: of its variables' values, as well.

    Raises:
        PlanError: the network has several inputs, or is not functional.
    """
    variables = {id(holder): variable for variable, holder in holders.items()}
    for layer in model._flatten_layers(include_self=False):
        if getattr(layer, "adapt_mean", None) is not None:  # it computes with reshaped copies
            variables[id(layer.mean)] = variables[id(layer.adapt_mean)]
            variables[id(layer.variance)] = variables[id(layer.adapt_variance)]
    graph = keras_reader.read(model)
    return NetworkData(name, description.layers, serial.rows(graph, variables), graph.output)


def _renamed(row: StepRow, image: str) -> StepRow:
    """Give the image its name: Keras numbers inputs through a process."""
    name = IMAGE if row.name == image else row.name
    inputs = tuple(IMAGE if one == image else one for one in row.inputs)
    return replace(row, name=name, inputs=inputs)


def _with_initial(layer: Weighted, holders: Mapping[Variable, KerasVariable]) -> Weighted:
    return replace(
        layer,
        variables=tuple(
            replace(one, initial=_initial(one, holders[one])) for one in layer.variables
        ),
        inner=tuple(_with_initial(one, holders) for one in layer.inner),
    )


def _initial(variable: Variable, holder: KerasVariable) -> Initial | None:
    if random_weights.is_drawn(variable):
        return None
    values = np.asarray(holder, np.float64)
    if values.size == 0 or np.ptp(values):
        return tuple(values.tolist())
    return float(values.flat[0])
