"""Who is dropped, who is best, and how sure that is."""

import numpy as np
import pytest

from vista_sql.train.race import BEHIND, FIRST_ROWS, Race, ahead, in_order, judge, right


def model(feature_set, f1, dims=1):
    return {"feature_set": feature_set, "f1_score": f1, "log_loss": 0.1, "dims": dims}


def hits(n_right, n=100):
    return np.arange(n) < n_right


def test_right_is_the_likeliest_class():
    assert right(np.array([1, 0]), np.array([[0.1], [0.1]])).tolist() == [True, False]
    assert right(np.array([2, 0]), np.eye(3)[[2, 1]]).tolist() == [True, False]


def test_models_that_are_right_alike_are_not_apart():
    assert ahead(hits(50), hits(50)) == 0.0
    assert ahead(hits(59), hits(50)) == BEHIND


def test_a_race_drops_what_is_behind_but_what_lift_is_measured_from():
    race = Race(budget_seconds=60.0)
    assert not race.over
    assert race.due(FIRST_ROWS)
    rows = [model("structured", 0.1), model("low", 0.5), model("high", 0.9), model("near", 0.89)]
    rights = [hits(10), hits(50), hits(90), hits(89)]
    assert not race.round(300, rows, rights)  # near is too near
    assert set(race.dropped) == {"low"}
    assert not race.due(599)
    assert race.due(600)
    left = [row for row in rows if row["feature_set"] != "near" and row["feature_set"] != "low"]
    assert race.round(600, left, [rights[0], rights[2]])


def test_one_alone_has_beaten_nobody():
    assert not Race(60.0).round(300, [model("a", 0.9)], [hits(9)])


def test_the_worse_half_is_dropped_sooner():
    race = Race(60.0)
    rows = [model("best", 0.9), model("second", 0.86), model("third", 0.85)]
    rights = [hits(90), hits(85), hits(85)]  # 2.2 behind
    race.round(300, rows, rights)
    assert set(race.dropped) == {"third"}


def test_confidence_of_the_best_is_over_the_closest():
    rows = [model("a", 0.5), model("b", 0.9), model("c", 0.8)]
    assert judge(rows, [hits(50), hits(90), hits(86)]) == [pytest.approx(40**0.5), 0.0, 2.0]
    assert rows[1]["confidence"] == rows[2]["confidence"] == pytest.approx(0.9772, abs=1e-4)
    lone = [model("a", 0.5)]
    assert judge(lone, [hits(5)]) == [0.0]
    assert lone[0]["confidence"] is None


def test_rows_without_test_rows_have_no_confidence():
    rows = [model("a", None), model("b", None)]
    assert judge(rows, [hits(0, 0)] * 2) == [0.0, 0.0]
    assert [row["confidence"] for row in rows] == [None, None]


def test_fewer_features_come_first_where_figures_are_equal():
    rows = [model("wide", 0.9, dims=9), model("narrow", 0.9), model("best", 0.91, dims=99)]
    assert [row["feature_set"] for row in in_order(rows)] == ["best", "narrow", "wide"]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_rows_come_in_half_the_budget_and_the_last_training_has_the_rest():
    race = Race(10.0, clock := Clock())
    clock.now += 5
    assert not race.over
    race.begin_last_training()  # all rows have come
    clock.now += 5
    assert not race.training_over
    assert race.overrun is None
    clock.now += 0.1
    assert race.training_over


def test_a_round_that_the_rows_have_no_time_for_is_cut_short():
    race = Race(10.0, clock := Clock())
    clock.now += 5.5
    assert race.over
    assert race.training_over
    race.begin_last_training()
    clock.now += 4.9
    assert not race.training_over  # half of the budget is its own
    clock.now += 0.2
    assert race.training_over


def test_where_loading_took_the_budget_the_last_training_has_its_share_and_it_is_said():
    race = Race(1.0, clock := Clock())
    clock.now += 12
    race.begin_last_training()
    clock.now += 0.4
    assert not race.training_over
    clock.now += 0.2
    assert race.training_over
    assert race.overrun == (
        "budget_seconds => 1 became 12.6: after 12.0 s there were rows to train on, for nothing "
        "interrupts the loading of CNNs, nor a batch, nor the first passes of a training"
    )
