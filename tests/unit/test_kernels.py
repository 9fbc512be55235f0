"""What the planner and the kernels tell each other: facts as VISTA_EXPLAIN's rows, and timers."""

from __future__ import annotations

import pytest
from msgspec.structs import astuple, fields

from vista_sql import catalog, kernels
from vista_sql.kernels import EXPLANATION, LOAD, TRAIN, WALL, WORK, Fact, MeasureSpec

ALL_COLUMNS = Fact(
    transfer=1,
    topic="candidate",
    item="fused",
    chosen=True,
    why="it's the „cheapest“",
    flops_per_image=7_716_000_000,
    peak_bytes=1 << 40,
    actual_peak_bytes=2,
    images_inferred=3,
    actual_images_inferred=4,
    layer_evaluations=5,
    actual_layer_evaluations=6,
    estimated_seconds=0.25,
    actual_seconds=0.5,
    share=1.0,
    value=12.0,
    detail="infer image → f6",
)


def test_a_facts_fields_are_the_columns_in_their_order():
    assert tuple(EXPLANATION) == tuple(field.name for field in fields(Fact))
    assert len(astuple(ALL_COLUMNS)) == len(EXPLANATION) == 17
    assert set(EXPLANATION.values()) == {"INTEGER", "BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR"}
    assert (EXPLANATION["transfer"], EXPLANATION["chosen"]) == ("INTEGER", "BOOLEAN")


@pytest.mark.parametrize("facts", [(), (ALL_COLUMNS, Fact(topic="note"))])
def test_an_order_to_measure_comes_back_from_its_text(facts):
    spec = MeasureSpec(facts, "run/1", "run")
    assert MeasureSpec.from_text(spec.to_text()) == spec
    assert "null" not in spec.to_text()


@pytest.fixture
def counters():
    """A run's counters, as the kernels have them."""
    return catalog.module(kernels.PACKAGE, "passes.counts").RunCounts()


def counted(counters):
    """Return the names of all counters of seconds there are."""
    own = [field.name for field in fields(counters)]
    clock = [f"clock.{name}" for name in vars(counters.clock)]
    return {name for name in (*own, *clock) if name.endswith("_seconds")}


def test_every_counter_of_seconds_has_its_timer(counters):
    assert {timer.counter for timer in (*WALL, *WORK)} == counted(counters)


def test_timers_read_their_own_counter(counters):
    for timer in {*WALL, *WORK}:
        assert timer.seconds(counters) == 0
        owner = counters.clock if timer.counter.startswith("clock.") else counters
        setattr(owner, timer.counter.removeprefix("clock."), 1.5)
        assert timer.seconds(counters) == 1.5


def test_timers_are_told_apart_by_every_name_they_have():
    for timers in (WALL, WORK):
        for name in ("name", "item", "label"):
            assert len({getattr(timer, name) for timer in timers}) == len(timers)


def test_labels_say_what_is_done():
    for timer in (*WALL, *WORK):
        assert timer.label == "decoding" or timer.label not in (timer.name, timer.item)
        assert timer.label.startswith("rows ") or "ing" in timer.label, timer.label


def test_what_runs_alone_is_a_part_of_the_wall_time_and_of_the_work():
    assert {timer for timer in WORK if timer in WALL} == {LOAD, TRAIN}
