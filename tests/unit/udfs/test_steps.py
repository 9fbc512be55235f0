"""Operations are data: they compare, print and travel, and nothing in them runs."""

from __future__ import annotations

import pickle
from typing import get_args

import described
import numpy as np
import pytest
from msgspec import Struct
from msgspec.structs import fields
from vista_sql.udfs.network.steps import (
    Activate,
    Convolution,
    Dense,
    Operation,
    Relu,
    fused_activation,
)


@pytest.mark.parametrize("operation", get_args(Operation), ids=lambda one: one.__name__)
def test_every_operation_is_a_documented_record(operation):
    assert issubclass(operation, Struct)
    assert operation.__doc__ is not None
    assert not operation.__doc__.startswith(f"{operation.__name__}(")  # a dataclass's own
    assert operation.__struct_config__.frozen


def test_steps_travel_with_their_weights():
    for step in described.graph().steps.values():
        again = pickle.loads(pickle.dumps(step))
        assert (again.name, again.inputs, again.shape) == (step.name, step.inputs, step.shape)
        assert type(again.operation) is type(step.operation)
        for field in fields(step.operation):
            before, after = (getattr(one.operation, field.name) for one in (step, again))
            assert np.array_equal(before, after)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (Relu(), "relu"),
        (Relu(6.0), "relu6"),
        (Relu(5.0), ""),
        (Relu(None, 0.1), ""),
        (Relu(6.0, 0.0, 1.0), ""),
        (Activate("relu6"), "relu6"),
        (Activate("softmax"), ""),
        (Dense(np.ones((2, 2)), None, "relu"), "relu"),
        (Convolution(np.ones((1, 1, 2, 2)), None), ""),
    ],
)
def test_only_plain_relus_are_fused(operation, expected):
    assert fused_activation(operation) == expected
