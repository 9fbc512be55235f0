"""vista_measured: a plan's facts come back with what its run took."""

from __future__ import annotations

import pyarrow as pa
import pytest

from vista_sql import catalog, kernels
from vista_sql.kernels import EXPLANATION, WALL, WORK, Fact, MeasureSpec

measure = catalog.module(kernels.PACKAGE, "measure")
runtimes = catalog.module(kernels.PACKAGE, "passes.runtime")

PLAN = (
    Fact(transfer=1, topic="candidate", item="lazy", chosen=False, images_inferred=20),
    Fact(transfer=1, topic="candidate", item="fused", chosen=True, images_inferred=10),
    Fact(topic="sql", item="rewritten", detail="SELECT 1;"),
)


@pytest.fixture
def runtime(monkeypatch):
    monkeypatch.setattr(runtimes, "cores", lambda: 2)
    with_threads = runtimes.Runtime()
    yield with_threads
    with_threads.close()


def measured(runtime, *specs, n_rows=12):
    texts = pa.array([spec.to_text() for spec in specs], pa.string())
    n = pa.array([n_rows] * len(specs), pa.int64())
    found = measure.measured(runtime, texts, n, n)
    assert found.type == measure.ARROW_TYPE
    return [[Fact(**row) for row in rows] for rows in found.to_pylist()]


def of(facts, topic):
    return {fact.item: fact for fact in facts if fact.topic == topic}


def test_every_timer_is_told_in_order(runtime):
    for n, timer in enumerate(dict.fromkeys((*WALL, *WORK)), 1):
        owner = runtime.counters("run")
        if timer.counter.startswith("clock."):
            owner = owner.clock
        setattr(owner, timer.counter.removeprefix("clock."), n / 1000)
    (facts,) = measured(runtime, MeasureSpec(PLAN, "run", "run"))
    times, work = of(facts, "time"), of(facts, "work")
    assert list(times) == ["wall", *(timer.item for timer in WALL), "rest"]
    assert list(work) == [
        "join", "read", "decode", "store, look up", "infer", "store, keep", "pool",
        "train, first pass",
    ]  # fmt: skip
    for timer, facts_of in ((WALL[1], times), (WORK[2], work)):
        n = list(dict.fromkeys((*WALL, *WORK))).index(timer) + 1
        assert facts_of[timer.item].actual_seconds == n / 1000
    assert work["decode"].detail == "decoding and resizing; summed over threads (2 decode)"
    assert work["store, keep"].detail == "packing and committing what was inferred"
    assert all(fact.share is None for fact in work.values())
    assert times["wall"].share == 1


def test_what_was_measured_stands_before_the_sql(runtime):
    (facts,) = measured(runtime, MeasureSpec(PLAN, "run", "run"))
    assert facts[0] == PLAN[0]
    assert facts[-1] == PLAN[-1]
    assert {fact.topic for fact in facts[2:-1]} == {"time", "work", "count"}
    assert of(facts, "count")["rows"].value == 12


def test_the_chosen_plan_stands_beside_what_it_did(runtime):
    runtime.count("run/1", images_inferred=9, layer_evaluations=18)
    runtime.count("run/1", decode_seconds=0.5)
    (facts,) = measured(runtime, MeasureSpec(PLAN, "run/1", "run"))
    chosen = of(facts, "candidate")["fused"]
    assert (chosen.images_inferred, chosen.actual_images_inferred) == (10, 9)
    assert chosen.actual_layer_evaluations == 18
    assert chosen.actual_seconds == of(facts, "time")["wall"].actual_seconds
    assert of(facts, "candidate")["lazy"].actual_images_inferred is None
    assert runtime.counters("run").images_inferred == 9  # a part of the statement's run


def test_of_several_transfers_nobody_can_tell_which_took_what(runtime):
    both = (*PLAN[:2], Fact(transfer=2, topic="candidate", item="fused", chosen=True), PLAN[-1])
    (facts,) = measured(runtime, MeasureSpec(both, "run", "run"))
    assert all(fact.actual_seconds is None for fact in facts if fact.topic == "candidate")


def test_several_orders_at_once_keep_apart(runtime):
    runtime.count("a", images_inferred=1)
    runtime.count("b", images_inferred=2)
    specs = [MeasureSpec(PLAN, run, run) for run in ("a", "b")]
    inferred = [of(facts, "count")["images inferred"].value for facts in measured(runtime, *specs)]
    assert inferred == [1, 2]
    assert measured(runtime) == []


def test_the_types_are_those_of_the_columns():
    names = [field.name for field in measure.ARROW_TYPE.value_type]
    assert names == list(EXPLANATION)
    assert measure.SQL_TYPE.startswith('STRUCT("transfer" INTEGER, "topic" VARCHAR, ')
