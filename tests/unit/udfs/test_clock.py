"""Where the wall time of a run went, by a clock that the test moves."""

import pytest

from vista_sql import catalog, kernels

clocks = catalog.module(kernels.PACKAGE, "passes.clock")


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(clocks.time, "perf_counter", lambda: now[0])
    clock = clocks.Clock()
    clock.move = lambda seconds: now.__setitem__(0, now[0] + seconds)
    return clock


def seconds(clock):
    return (
        clock.infer_seconds,
        clock.fetch_stall_seconds,
        clock.prep_stall_seconds,
        clock.rows_stall_seconds,
    )


def test_nothing_happens_outside(clock):
    clock.move(5)
    with clock.inferring():
        clock.move(2)
    clock.move(5)
    assert seconds(clock) == (2, 0, 0, 0)


def test_waiting_is_split_as_told(clock):
    with clock.waiting() as wait:
        clock.move(4)
        wait.fetch, wait.prep = 3, 9
    assert seconds(clock) == (0, 1, 3, 0)
    with clock.waiting() as wait:
        clock.move(2)
        wait.rows = 1
    assert seconds(clock) == (0, 1, 3, 2)


def test_who_waits_while_another_call_infers_does_not_stall_it(clock):
    with clock.waiting() as wait:
        clock.move(1)
        with clock.inferring():
            clock.move(10)
        clock.move(2)
        wait.prep = 1
    assert seconds(clock) == (10, 0, 3, 0)


def test_two_that_wait_stall_once(clock):
    with clock.waiting() as one:
        with clock.waiting() as other:
            clock.move(2)
            other.fetch = 1
        clock.move(3)
        one.prep = 1
    assert seconds(clock) == (0, 2, 3, 0)


def test_a_wait_that_tells_nothing_is_told_by_the_next(clock):
    with clock.waiting():
        clock.move(2)
    assert seconds(clock) == (0, 0, 0, 0)
    with clock.waiting() as wait:
        clock.move(1)
        wait.prep = 1
    assert seconds(clock) == (0, 0, 3, 0)


def test_a_pass_that_fails_has_ended(clock):
    with pytest.raises(TypeError), clock.inferring():
        clock.move("1")
    with clock.inferring():
        clock.move(1)
    with clock.waiting() as wait:
        clock.move(1)
        wait.fetch = 1
    assert seconds(clock) == (1, 1, 0, 0)
