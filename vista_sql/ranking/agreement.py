"""How well scores of sources agree with what training them gave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def regret(scores: Sequence[float | None], results: Sequence[float]) -> float | None:
    """Return how much result is lost by following a score: to the best of sources that it has.

    Where several have the highest score, one of them is followed by chance.

    >>> regret([0.9, 0.8, 0.7], [0.5, 0.75, 0.25]), regret([1.0, 1.0, None], [0.5, 0.75, 0.75])
    (0.25, 0.125)
    >>> print(regret([None, None], [0.5, 0.6]))
    None
    """
    known = [score for score in scores if score is not None]
    if not known:
        return None
    highest = max(known)
    followed = [r for score, r in zip(scores, results, strict=True) if score == highest]
    return max(results) - sum(followed) / len(followed)


def pearson(scores: Sequence[float], results: Sequence[float]) -> float:
    """Return Pearson's correlation of scores (n,) with results (n,)."""
    return float(np.corrcoef(scores, results)[0, 1])


def weighted_tau(scores: Sequence[float], results: Sequence[float]) -> float:
    """Return Vigna's weighted tau (WWW 2015): of pairs in order, those of high ranks count most."""
    from scipy.stats import weightedtau

    return float(weightedtau(scores, results).statistic)
