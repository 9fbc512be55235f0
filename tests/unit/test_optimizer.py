"""Which plan is chosen, and why; what does not fit is refused with what would."""

from __future__ import annotations

from dataclasses import replace

import pytest
from workloads import BIND_TIME, ROOMY, STATEMENTS, hints, work

from vista_sql.errors import PlanError, UnknownNameError
from vista_sql.machine.resources import Resources
from vista_sql.planning import optimizer, plans
from vista_sql.planning.workload import Facts
from vista_sql.settings import Value
from vista_sql.sql.needs import Needs


def decision(plan, what):
    return next(d for d in plan.decisions if d.what == what)


def test_fused_after_the_join_is_the_default():
    plan = optimizer.choose(work(), ROOMY, STATEMENTS, hints())
    assert (plan.kind, plan.placement) == ("fused", "after")
    assert decision(plan, "plan").chosen == "fused"
    assert {a.name for a in plan.alternatives} == set(plans.names()) - {"vista"}
    assert [a.seconds for a in plan.alternatives] == sorted(a.seconds for a in plan.alternatives)


def test_distinct_where_rows_share_images():
    shared = work(facts=Facts(rows=100_000, images=100_000, distinct_images=99_000))
    plan = optimizer.choose(shared, ROOMY, STATEMENTS, hints())
    assert plan.kind == "distinct"
    assert plan.images_inferred == 99_000
    assert "100,000 rows share 99,000 images" in decision(plan, "plan").why
    (fused,) = (a for a in plan.alternatives if (a.name, a.placement) == ("fused", "after"))
    assert fused.note == "infers some images again"
    alone = work(facts=Facts(rows=100_000, images=99_000, distinct_images=99_000))
    assert optimizer.choose(alone, ROOMY, STATEMENTS, hints()).kind == "fused"


def test_few_images_are_shared_without_a_sort():
    shared = work(facts=Facts(rows=10, images=10, distinct_images=9))
    plan = optimizer.choose(shared, ROOMY, STATEMENTS, hints())
    assert (plan.kind, plan.images_inferred) == ("fused", 9)


def test_a_join_that_multiplies_rows_stands_above_inference():
    facts = Facts(rows=1_000_000, images=1_000_000, distinct_images=1000, image_rows=1000)
    plan = optimizer.choose(work(facts=facts), ROOMY, STATEMENTS, hints())
    assert plan.placement == "before"
    assert decision(plan, "placement").why == "the join makes 1,000,000 rows of 1,000 images"


def test_a_join_that_cuts_rows_stands_below_inference():
    facts = Facts(rows=100, images=100, distinct_images=100, image_rows=100_000)
    plan = optimizer.choose(work(facts=facts), ROOMY, STATEMENTS, hints())
    assert (plan.placement, plan.images_inferred) == ("after", 100)


def test_an_image_that_the_join_removes_never_fails_a_statement():
    facts = Facts(rows=1_000_000, images=1_000_000, distinct_images=1000, image_rows=1000)
    failing = work(facts=facts, on_error="raise")
    assert optimizer.choose(failing, ROOMY, STATEMENTS, hints()).placement == "after"
    asked = hints(placement="before")
    assert optimizer.choose(failing, ROOMY, STATEMENTS, asked).placement == "before"


@pytest.mark.parametrize("kind", [name for name in plans.names() if name != "vista"])
@pytest.mark.parametrize("placement", ["after", "before"])
def test_hints_are_kept_and_shown(kind, placement):
    asked = hints(plan=kind, placement=placement, batch_rows=7, threads=2)
    plan = optimizer.choose(work(), ROOMY, STATEMENTS, asked)
    assert (plan.kind, plan.placement, plan.batch_rows, plan.threads) == (kind, placement, 7, 2)
    assert decision(plan, "plan").why.startswith("as given: plan => …")
    assert all(
        a.note.startswith("excluded by ")
        for a in plan.alternatives
        if (a.name, a.placement) != (kind, placement)
    )
    assert decision(plan, "batch rows").why == "as given: batch_rows => …"


def test_equal_inputs_give_equal_plans():
    assert optimizer.choose(work(), ROOMY, STATEMENTS, hints()) == optimizer.choose(
        work(), ROOMY, STATEMENTS, hints()
    )


def test_nothing_used_infers_nothing():
    plan = optimizer.choose(work(needs=Needs(frozenset({"id"}))), ROOMY, STATEMENTS, hints())
    assert (plan.stages, plan.flops_per_image, plan.peak_bytes) == ((), 0, 0)


def test_an_unknown_plan_is_refused():
    with pytest.raises(UnknownNameError, match="unknown plan 'fast'"):
        optimizer.choose(work(), ROOMY, STATEMENTS, hints(plan="fast"))
    given = replace(hints(), plan=Value("plan", "fast", "VISTA_SQL_PLAN"))
    with pytest.raises(UnknownNameError, match="unknown plan 'fast' in VISTA_SQL_PLAN"):
        optimizer.choose(work(), ROOMY, STATEMENTS, given)


@pytest.mark.parametrize("capabilities", [STATEMENTS, BIND_TIME])
def test_batches_shrink_until_they_fit(capabilities):
    roomy = optimizer.choose(work(), ROOMY, capabilities, hints())
    tight = replace(ROOMY, memory_bytes=roomy.peak_bytes - 1)
    smaller = optimizer.choose(work(), tight, capabilities, hints())
    assert smaller.batch_rows < roomy.batch_rows
    assert smaller.peak_bytes <= tight.memory_bytes
    given = optimizer.choose(work(), tight, capabilities, hints(batch_rows=roomy.batch_rows))
    assert "does not fit in memory" in decision(given, "batch rows").why


def test_what_does_not_fit_is_refused_with_the_shortfall():
    tiny = Resources(2, 100 * 2**20, "memory_limit")
    with pytest.raises(
        PlanError, match=r"resnet50 needs .* \(\d+ bytes\) more than .*100.0 MiB"
    ) as e:
        optimizer.choose(work(), tiny, STATEMENTS, hints())
    short = int(str(e.value).split("(")[1].split(" bytes")[0])
    enough = replace(tiny, memory_bytes=tiny.memory_bytes + short)
    assert optimizer.choose(work(), enough, STATEMENTS, hints()).batch_rows < 8


def test_whole_chunks_cost_memory_where_rows_cannot_be_handed_out():
    layers = ("conv4_6",)
    apart = optimizer.choose(work(layers=layers), ROOMY, STATEMENTS, hints(plan="eager"))
    whole = optimizer.choose(work(layers=layers), ROOMY, BIND_TIME, hints(plan="eager"))
    assert whole.peak_bytes > apart.peak_bytes + 1000 * 4 * 14 * 14 * 1024


def test_staged_spends_less_than_lazy():
    by_plan = {
        kind: optimizer.choose(work(), ROOMY, STATEMENTS, hints(plan=kind))
        for kind in plans.names()
        if kind != "vista"
    }
    flops = {kind: plan.flops_per_image for kind, plan in by_plan.items()}
    assert flops["staged"] == flops["fused"] == flops["eager"] < flops["lazy"]
