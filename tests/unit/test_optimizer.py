"""Which plan is chosen, and why; what does not fit is refused with what would."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from workloads import BIND_TIME, ROOMY, STATEMENTS, choose, hints, work

from vista_sql.errors import PlanError, UnknownNameError
from vista_sql.machine.resources import Resources
from vista_sql.planning import plans
from vista_sql.planning.workload import Facts
from vista_sql.settings import Value
from vista_sql.sql.needs import Needs


def decision(plan, what):
    return next(d for d in plan.decisions if d.what == what)


def test_fused_after_the_join_is_the_default():
    plan = choose(work())
    assert (plan.chosen.kind, plan.chosen.placement) == ("fused", "after")
    assert decision(plan, "plan").chosen == "fused"
    assert {a.kind for a in plan.alternatives} == set(plans.names()) - {"vista"}
    assert [a.price.seconds for a in plan.alternatives] == sorted(
        a.price.seconds for a in plan.alternatives
    )


def test_distinct_where_rows_share_images():
    shared = work(facts=Facts(rows=100_000, images=100_000, distinct_images=99_000))
    plan = choose(shared)
    assert plan.chosen.kind == "distinct"
    assert plan.chosen.price.images_inferred == 99_000
    assert "100,000 rows share 99,000 images" in decision(plan, "plan").why
    (fused,) = (a for a in plan.alternatives if (a.kind, a.placement) == ("fused", "after"))
    assert fused.note == "infers some images again"
    alone = work(facts=Facts(rows=100_000, images=99_000, distinct_images=99_000))
    assert choose(alone).chosen.kind == "fused"


def test_few_images_are_shared_without_a_sort():
    shared = work(facts=Facts(rows=10, images=10, distinct_images=9))
    plan = choose(shared)
    assert (plan.chosen.kind, plan.chosen.price.images_inferred) == ("fused", 9)


def test_a_join_that_multiplies_rows_stands_above_inference():
    facts = Facts(rows=1_000_000, images=1_000_000, distinct_images=1000, image_rows=1000)
    plan = choose(work(facts=facts))
    assert plan.chosen.placement == "before"
    assert decision(plan, "placement").why == "the join makes 1,000,000 rows of 1,000 images"


def test_a_join_that_cuts_rows_stands_below_inference():
    facts = Facts(rows=100, images=100, distinct_images=100, image_rows=100_000)
    plan = choose(work(facts=facts))
    assert (plan.chosen.placement, plan.chosen.price.images_inferred) == ("after", 100)


def test_an_image_that_the_join_removes_never_fails_a_statement():
    facts = Facts(rows=1_000_000, images=1_000_000, distinct_images=1000, image_rows=1000)
    failing = work(facts=facts, on_error="raise")
    assert choose(failing).chosen.placement == "after"
    asked = hints(placement="before")
    assert choose(failing, given=asked).chosen.placement == "before"


@pytest.mark.parametrize("kind", [name for name in plans.names() if name != "vista"])
@pytest.mark.parametrize("placement", ["after", "before"])
def test_hints_are_kept_and_shown(kind, placement):
    asked = hints(plan=kind, placement=placement, batch_rows=7, threads=2)
    plan = choose(work(), given=asked)
    assert (plan.chosen.kind, plan.chosen.placement, plan.chosen.batch_rows, plan.threads) == (
        kind,
        placement,
        7,
        2,
    )
    assert decision(plan, "plan").why.startswith("as given: plan => …")
    assert all(
        a.note.startswith("excluded by ")
        for a in plan.alternatives
        if (a.kind, a.placement) != (kind, placement)
    )
    assert decision(plan, "batch rows").why == "as given: batch_rows => …"


def test_equal_inputs_give_equal_plans():
    assert choose(work()) == choose(work())


def test_nothing_used_infers_nothing():
    plan = choose(work(needs=Needs(frozenset({"id"}))))
    assert (plan.chosen.stages, plan.chosen.flops_per_image, plan.chosen.peak_bytes) == ((), 0, 0)


def test_an_unknown_plan_is_refused():
    with pytest.raises(UnknownNameError, match="unknown plan 'fast'"):
        choose(work(), plan="fast")
    given = replace(hints(), plan=Value("plan", "fast", "VISTA_SQL_PLAN"))
    with pytest.raises(UnknownNameError, match="unknown plan 'fast' in VISTA_SQL_PLAN"):
        choose(work(), given=given)


@pytest.mark.parametrize("capabilities", [STATEMENTS, BIND_TIME])
def test_batches_shrink_until_they_fit(capabilities):
    roomy = choose(work(), capabilities=capabilities)
    tight = replace(ROOMY, memory_bytes=roomy.chosen.peak_bytes - 1)
    smaller = choose(work(), tight, capabilities)
    assert smaller.chosen.batch_rows < roomy.chosen.batch_rows
    assert smaller.chosen.peak_bytes <= tight.memory_bytes
    given = choose(work(), tight, capabilities, batch_rows=roomy.chosen.batch_rows)
    assert "does not fit in memory" in decision(given, "batch rows").why


def test_what_does_not_fit_is_refused_with_the_shortfall():
    tiny = Resources(2, 100 * 2**20, "memory_limit")
    with pytest.raises(
        PlanError, match=r"resnet50 needs .* \(\d+ bytes\) more than .*100.0 MiB"
    ) as e:
        choose(work(), tiny)
    short = int(str(e.value).split("(")[1].split(" bytes")[0])
    enough = replace(tiny, memory_bytes=tiny.memory_bytes + short)
    assert choose(work(), enough).chosen.batch_rows < 8


def test_whole_chunks_cost_memory_where_rows_cannot_be_handed_out():
    layers = ("conv4_6",)
    apart = choose(work(layers=layers), plan="eager")
    whole = choose(work(layers=layers), capabilities=BIND_TIME, plan="eager")
    assert whole.chosen.peak_bytes > apart.chosen.peak_bytes + 1000 * 4 * 14 * 14 * 1024


def test_staged_spends_less_than_lazy():
    by_plan = {kind: choose(work(), plan=kind) for kind in plans.names() if kind != "vista"}
    flops = {kind: plan.chosen.flops_per_image for kind, plan in by_plan.items()}
    assert flops["staged"] == flops["fused"] == flops["eager"] < flops["lazy"]
