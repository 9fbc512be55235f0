"""What a call asks of a network, and where a pass may start for it."""

from __future__ import annotations

import fake_networks
from vista_sql.udfs.passes.outputs import Outputs

FEATURES = [("c3", "gap"), ("f6", "gap")]
MAPS = [("c1", "none"), ("c3", "none"), ("f6", "gap")]


def outputs(**spec):
    return Outputs(fake_networks.inputs([], **spec), FEATURES, MAPS)


def test_what_is_asked_for_is_not_kept_beside_again():
    asked = outputs()
    assert asked.by_slot == tuple(FEATURES)
    assert asked.beside(None) == [("c1", "none"), ("c3", "none")]


def test_heights_are_the_networks():
    asked = outputs()
    assert asked.height([1]) > asked.height([0])
    assert asked.height([0, 1]) == asked.height([1])


def test_outputs_start_at_a_base_that_determines_them():
    assert outputs(base="c1").can_start_at_base([0, 1])
    assert not outputs(base="c3").can_start_at_base([0, 1])
    assert not outputs().can_start_at_base([0])


def test_maps_beside_are_those_above_the_start():
    assert outputs().beside("c1") == [("c3", "none")]
    assert outputs().beside("c3") == []
