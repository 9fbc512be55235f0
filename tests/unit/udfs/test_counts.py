"""What adds up, and which of a TRANSFER's calls says how many rows there were."""

from __future__ import annotations

from msgspec.structs import fields
from vista_sql.udfs.passes.counts import MAX_ERRORS, Amounts, RunCounts, Tally


def test_every_amount_is_a_number_and_adds_up():
    total, part = RunCounts(), RunCounts()
    for place, amount in enumerate(fields(Amounts), 1):
        assert getattr(total, amount.name) == 0
        setattr(total, amount.name, place)
        setattr(part, amount.name, 100)
    began, clock = total.began, total.clock
    total.add(part)
    assert [getattr(total, a.name) for a in fields(Amounts)] == [
        place + 100 for place in range(1, len(fields(Amounts)) + 1)
    ]
    assert total.began == began
    assert total.clock is clock


def test_calls_upon_the_same_rows_count_once():
    counts = RunCounts(tallies={0: Tally(5, 4, 1, [("a", "why")]), 1: Tally(3, 3)})
    assert (counts.rows, counts.images, counts.errors) == (5, 4, 1)
    assert counts.reasons == [("a", "why")]
    assert (RunCounts().rows, RunCounts().reasons) == (0, [])


def test_parts_of_a_run_add_their_rows_and_the_first_reasons():
    counts = RunCounts(tallies={0: Tally(2, 2, 2, [("a", "why")])})
    many = [(str(i), "x") for i in range(MAX_ERRORS)]
    counts.add(RunCounts(tallies={0: Tally(2000, 2000, 2000, many), 1: Tally(1)}))
    assert (counts.rows, counts.errors) == (2002, 2002)
    assert len(counts.reasons) == MAX_ERRORS
    assert counts.reasons[0] == ("a", "why")
    assert sorted(counts.tallies) == [0, 1]


def test_amounts_are_counted_by_their_names():
    assert Amounts(decoded=2, read_seconds=0.5).by_name() == {"decoded": 2, "read_seconds": 0.5}
    assert Amounts().by_name() == {}
