"""ROC curves on one grid are scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import auc, roc_curve

from vista_sql.train.curves import FALSE_POSITIVE_RATES, average, curve


def test_a_curve_is_scikit_learns_at_the_same_rates():
    rng = np.random.default_rng(0)
    positive = rng.random(2000) < 0.3
    scores = np.round(rng.standard_normal(2000) + positive, 1)  # with ties
    x, y, _ = roc_curve(positive, scores)
    found = curve(positive, scores)
    tops = [y[x <= rate].max() for rate in (0.0, 1.0)]
    assert [found[0], found[-1]] == pytest.approx(tops, abs=1e-4)
    assert auc(FALSE_POSITIVE_RATES, found) == pytest.approx(auc(x, y), abs=2e-3)
    assert list(found) == sorted(found)


def test_rows_of_one_side_have_no_curve():
    assert curve(np.ones(3, bool), np.arange(3.0)) is None
    assert average([None, None]) is None


def test_an_average_is_of_the_curves_there_are():
    flat, full = (0.0,) * 3, (1.0,) * 3
    assert average([flat, None, full]) == (0.5, 0.5, 0.5)
