"""What a kernel was called with, read once."""

from __future__ import annotations

import fake_networks
import pyarrow as pa
import pytest
from fake_networks import png
from vista_sql.udfs.passes.inputs import read_inputs

from vista_sql import store
from vista_sql.errors import ArgumentError, UnknownNameError
from vista_sql.kernels import InferSpec


def test_images_are_told_apart_and_named():
    inputs = fake_networks.inputs([png(1), None, png(2), png(1)])
    assert len(inputs.images) == 2
    assert inputs.identities == [store.digest(png(1)), store.digest(png(2))]
    assert inputs.keys.to_pylist() == ["k0", "k1", "k2", "k3"]
    assert inputs.opened.cnn.name == "lenet5"


def test_batches_are_the_orders_or_the_networks():
    assert fake_networks.inputs([png(1)]).batch_rows() == 3
    assert fake_networks.inputs([png(1)], batch_rows=7).batch_rows() == 7


def test_images_are_null_once_the_training_they_go_to_has_seen_enough():
    runtime, asked = fake_networks.runtime(), []
    runtime.fed_runs.is_closed = lambda gate: asked.append(gate) or len(asked) > 1
    assert len(fake_networks.inputs([png(1)], runtime, gate="g").images) == 1
    assert len(fake_networks.inputs([png(1)], runtime, gate="g").images) == 0
    assert asked == ["g", "g"]
    fake_networks.inputs([png(1)], runtime)
    assert len(asked) == 2


def test_what_cannot_be_an_image_or_a_cnn_is_told():
    with pytest.raises(ArgumentError, match="the image column holds int64"):
        fake_networks.inputs(pa.array([1]))
    with pytest.raises(UnknownNameError):
        read_inputs(
            fake_networks.runtime(), InferSpec("lenet6", ()), pa.array([b""]), pa.array(["k"])
        )
