"""Scores and fine-tuned accuracies as published → the correlations that are published with them.

The tables are those of TLlib (thuml/Transfer-Learning-Library, examples/model_selection/README.md):
10 networks on 8 data sets. Not used: Aircraft and OxfordIIITPets, whose printed correlations are of
other numbers than the printed ones, for all four scores; and NCE on DTD, where the column of LogME
is printed twice.
"""

import csv
from pathlib import Path

import pytest

from vista_sql.ranking.agreement import pearson, regret, weighted_tau

FOLDER = Path(__file__).parent
SCORES = ("h_score", "leep", "logme", "nce")
AT_ODDS = {"Aircraft": SCORES, "OxfordIIITPets": SCORES, "DTD": ("nce",)}
MEASURES = {"Pearson Corr": pearson, "Weighted Tau": weighted_tau}
# scores are printed with three digits: that much correlations change, and tau where two become one
TOLERANCES = {"Pearson Corr": 0.01, "Weighted Tau": 0.025}


def read(name):
    with (FOLDER / name).open() as file:
        return list(csv.DictReader(file))


TABLE = read("published_scores.csv")
EXPECTED = [
    (row["data_set"], row["measure"], score, float(row[score]))
    for row in read("published_correlations.csv")
    for score in SCORES
    if score not in AT_ODDS.get(row["data_set"], ())
]


def test_most_of_the_tables_are_used():
    assert len(TABLE) == 80
    assert len(EXPECTED) == 46


@pytest.mark.parametrize(("data_set", "measure", "score", "expected"), EXPECTED)
def test_published_correlations_are_reproduced(data_set, measure, score, expected):
    rows = [row for row in TABLE if row["data_set"] == data_set]
    scores, accuracies = ([float(row[name]) for row in rows] for name in (score, "accuracy"))
    found = MEASURES[measure](scores, accuracies)
    assert found == pytest.approx(expected, abs=TOLERANCES[measure])


def test_regret_is_what_following_a_score_costs():
    accuracy = [0.9, 0.7, 0.8]
    assert regret([3, 1, 2], accuracy) == 0
    assert regret([1, 3, 2], accuracy) == pytest.approx(0.2)
    assert regret([1, 3, 3], accuracy) == pytest.approx(0.9 - 0.75)  # one of two by chance
    assert regret([None, 1, 0], accuracy) == pytest.approx(0.2)
