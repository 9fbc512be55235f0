"""Scores of rows → a ROC curve: the true-positive rate at fixed false-positive rates.

Curves on one grid can be averaged, over classes and over folds, and kept in a model's record. The
grid is fine near 0, where good models differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vista_sql.train.chunks import Array, Floats

FALSE_POSITIVE_RATES: tuple[float, ...] = (
    0.0,
    *(round(float(x), 6) for x in np.geomspace(0.001, 0.1, 30)),
    *(round(float(x), 6) for x in np.linspace(0.12, 1.0, 45)),
)
Curve = tuple[float, ...]
"""The true-positive rate at each of FALSE_POSITIVE_RATES."""


def curve(positive: Array, scores: Array) -> Curve | None:
    """Return the ROC curve of scores, a staircase: level until the next negative.

    Rows of one score are joined by a line.

    Args:
        positive: (rows,) bool.
        scores: (rows,).

    Returns:
        None where all rows are positive, or none is.

    Example:
        >>> positive = np.array([True, False, True, False])
        >>> stairs = curve(positive, np.array([4.0, 3.0, 2.0, 1.0]))
        >>> rates = dict(zip(FALSE_POSITIVE_RATES, stairs, strict=True))
        >>> rates[0.0], rates[0.48], rates[0.5]
        (0.5, 0.5, 1.0)
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return None
    _, inverse = np.unique(-scores, return_inverse=True)  # best scores first
    hits = np.cumsum(np.bincount(inverse, positive))
    misses = np.cumsum(np.bincount(inverse, ~positive))
    x = np.concatenate([[0.0], misses / n_negative])
    y = np.concatenate([[0.0], hits / n_positive])
    return _rounded(np.interp(FALSE_POSITIVE_RATES, x, y))  # of several y at one x, the highest


def average(curves: Sequence[Curve | None]) -> Curve | None:
    """Return the mean of the curves that are not None; None where all are."""
    known = [rates for rates in curves if rates is not None]
    return _rounded(np.mean(known, axis=0)) if known else None


def _rounded(values: Floats) -> Curve:
    return tuple(round(float(value), 4) for value in values)
