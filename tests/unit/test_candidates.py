"""Every way to run a workload: plans, placements, starts, sizes that fit."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest
from msgspec.structs import replace
from workloads import BIND_TIME, ROOMY, STATEMENTS, hints, work

from vista_sql import roster
from vista_sql.kernels import Device, Dtype, padded_rows
from vista_sql.planning import candidates, plans
from vista_sql.planning.candidates import Machine
from vista_sql.planning.workload import Facts, StoredShare, Tap
from vista_sql.roster import Layer
from vista_sql.store import Choice

MACHINE = Machine(ROOMY, STATEMENTS)


def every(workload, machine=MACHINE):
    return list(candidates.every(workload, machine))


def test_each_plan_stands_after_and_before_the_join():
    found = every(work())
    chosen_by_itself = set(plans.names()) - {"vista"}
    assert {(c.kind, c.placement) for c in found} == {
        (kind, placement) for kind in chosen_by_itself for placement in ("after", "before")
    }
    alone = every(work(structured=None))
    assert {c.placement for c in alone} == {"after"}


def test_an_image_that_the_join_removes_must_not_fail_the_statement():
    assert {c.placement for c in every(work(on_error="raise"))} == {"after"}
    asked = replace(MACHINE, hints=hints(placement="before"))
    assert {c.placement for c in every(work(on_error="raise"), asked)} == {"after", "before"}


def test_the_papers_policy_is_there_where_it_is_asked_for():
    asked = replace(MACHINE, hints=hints(plan="vista"))
    (papers,) = (c for c in every(work(), asked) if c.kind == "vista")
    assert papers.why
    assert papers.stages == plans.load("staged").stages(work())


def test_stored_maps_are_starts():
    layer = "conv4_block6_out"
    shares = (StoredShare(frozenset(), frozenset({layer}), 1.0),)
    stored = work(layers=["avg_pool"], store=Choice("folder", 0, True), facts=Facts(stored=shares))
    bases = {c.base and c.base.name for c in every(stored)}
    assert bases == {None, layer}
    named = {c.name for c in every(stored) if c.base}
    assert f"fused, from stored {layer}" in named


@pytest.mark.parametrize("capabilities", [STATEMENTS, BIND_TIME])
def test_micro_batches_are_as_large_as_fits(capabilities):
    roomy = every(work(), Machine(ROOMY, capabilities))
    limit = min(c.peak_bytes for c in roomy) - 1
    tight = every(work(), Machine(replace(ROOMY, memory_bytes=limit), capabilities))
    assert max(c.batch_rows for c in tight) < max(c.batch_rows for c in roomy)
    given = Machine(ROOMY, capabilities, hints(batch_rows=7))
    assert {c.batch_rows for c in every(work(), given)} == {7}


@pytest.mark.parametrize("device", get_args(Device))
@pytest.mark.parametrize("name", roster.names())
def test_micro_batches_are_multiples_of_what_the_network_runs_at_once(name, device):
    cnn = roster.load(name)
    layers = tuple(dict.fromkeys(map(cnn.canonical, cnn.feature_layers)))
    for dtype, capabilities in product(get_args(Dtype), (STATEMENTS, BIND_TIME)):
        asked = work(name, layers, device=device, dtype=dtype)
        for found in every(asked, Machine(ROOMY, capabilities)):
            assert found.batch_rows % cnn.rows_at_once == 0
            assert padded_rows(found.batch_rows, cnn.granule) == found.batch_rows


def test_micro_batches_of_several_networks_fill_them_all():
    """Here the image is large for the one, and the other's maps need full granules."""
    block, lenet = Layer("block", (999, 999, 4), 1, 0), roster.load("lenet5")
    large = replace(roster.load("vgg16"), input_shape=(2000, 2000, 3), catalogue=(block,))
    assert large.rows_at_once == 4
    own, other = Tap("block", block, 16), Tap("f6", lenet.layer("f6"), 84, lenet)
    for taps, rows in (((own,), 4), ((own, other), 16)):
        asked = replace(work(), cnn=large, taps=taps)
        assert {found.batch_rows for found in every(asked)} == {rows}


def test_threads_are_a_share_of_the_cores():
    assert MACHINE.share_of_cores == 1
    assert replace(MACHINE, hints=hints(threads=1)).share_of_cores == 1 / ROOMY.cores
    assert replace(MACHINE, hints=hints(threads=99)).share_of_cores == 1


def test_of_equal_prices_fewer_steps_come_first():
    fused, lazy = (
        next(c for c in every(work()) if c.kind == kind and c.placement == "after")
        for kind in ("fused", "lazy")
    )
    lazy = replace(lazy, price=fused.price)
    assert sorted([lazy, fused], key=candidates.order) == [fused, lazy]
    before = replace(fused, placement="before")
    assert sorted([before, fused], key=candidates.order) == [fused, before]
    assert not before.is_way_of(fused)
    assert replace(fused, batch_rows=1).is_way_of(fused)
