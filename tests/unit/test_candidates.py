"""Every way to run a workload: plans, placements, starts, sizes that fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from workloads import BIND_TIME, ROOMY, STATEMENTS, hints, work

from vista_sql.planning import candidates, plans
from vista_sql.planning.candidates import Machine
from vista_sql.planning.workload import Facts, StoredShare
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
