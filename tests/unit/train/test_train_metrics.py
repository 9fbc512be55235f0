"""Metrics are scikit-learn's, gathered in pieces."""

import numpy as np
import pytest
from sklearn import metrics as sk

from vista_sql.train.metrics import MOST_CURVES, Gatherer, area, mean


def gathered(y, margins, classes, cuts=3):
    gatherer = Gatherer(classes)
    for index in np.array_split(np.arange(len(y)), cuts):
        gatherer.add(y[index], margins[index].astype(np.float32))
    return gatherer.result()


def test_binary_metrics_equal_scikit_learn():
    rng = np.random.default_rng(0)
    y = (rng.random(500) < 0.3).astype(int)
    margins = np.round(rng.standard_normal(500) + y, 1).astype(np.float32)  # with ties
    found = gathered(y, margins[:, None], 2)
    p = 1 / (1 + np.exp(-margins.astype(np.float64)))
    said = (margins > 0).astype(int)
    assert found.accuracy == pytest.approx(sk.accuracy_score(y, said))
    assert found.precision == pytest.approx(sk.precision_score(y, said))
    assert found.recall == pytest.approx(sk.recall_score(y, said))
    assert found.f1_score == pytest.approx(sk.f1_score(y, said))
    assert found.roc_auc == pytest.approx(sk.roc_auc_score(y, margins))
    assert found.log_loss == pytest.approx(sk.log_loss(y, p), rel=1e-6)


def test_multiclass_metrics_equal_scikit_learn():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 600)
    margins = rng.standard_normal((600, 4)) + 1.5 * np.eye(4)[y]
    margins[:, 3] -= 9  # a class that is never predicted
    found = gathered(y, margins, 4)
    margins = margins.astype(np.float32).astype(np.float64)
    p = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
    said = p.argmax(axis=1)
    macro = {"average": "macro", "zero_division": 0}
    assert found.accuracy == pytest.approx(sk.accuracy_score(y, said))
    assert found.precision == pytest.approx(sk.precision_score(y, said, **macro))
    assert found.recall == pytest.approx(sk.recall_score(y, said, **macro))
    assert found.f1_score == pytest.approx(sk.f1_score(y, said, **macro))
    assert found.roc_auc == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"), abs=1e-6)
    assert found.log_loss == pytest.approx(sk.log_loss(y, p), rel=1e-6)


def test_macro_averages_leave_out_classes_that_do_not_occur():
    y = np.array([0, 1, 0, 1, 1])
    margins = np.array([[2, 1, 0], [0, 3, 0], [0, 1, 0], [1, 2, 0], [3, 0, 0.0]])
    found = gathered(y, margins, 3, cuts=1)
    said = margins.argmax(axis=1)
    assert found.f1_score == pytest.approx(sk.f1_score(y, said, average="macro"))


def test_metrics_without_rows_or_with_one_class():
    assert Gatherer(2).result().f1_score is None
    alone = gathered(np.ones(5, int), np.ones((5, 1)), 2, cuts=1)
    assert alone.roc_auc is None
    assert alone.accuracy == 1.0


def test_fold_metrics_are_means():
    parts = [gathered(np.array([0, 1, 1]), np.array([[z], [1.0], [-1.0]]), 2) for z in (-1.0, 1.0)]
    found, spread = mean(parts)
    assert found.n_rows == 6
    assert found.f1_score == pytest.approx(np.mean([p.f1_score for p in parts]))
    assert spread == pytest.approx(np.std([p.f1_score for p in parts]))


def test_an_area_needs_rows_on_both_sides():
    assert area(np.ones(3, bool), np.arange(3.0)) is None
    assert area(np.zeros(3, bool), np.arange(3.0)) is None


def test_many_classes_have_no_curves():
    few, many = (
        gathered(np.arange(n), np.eye(n), n, cuts=1).roc for n in (MOST_CURVES, MOST_CURVES + 1)
    )
    assert few is not None
    assert many is None
