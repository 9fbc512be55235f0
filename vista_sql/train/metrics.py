"""Expected classes or numbers and margins, chunk by chunk → metrics.

They are scikit-learn's and BigQuery's.

Two classes: precision, recall and f1_score are of the larger class. More: macro averages over the
classes that occur among expected or predicted labels; roc_auc is one-vs-rest, macro, over the
classes that have rows on both sides. Undefined precision or recall counts as 0; an undefined
metric (no rows, one class in roc_auc) is None.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from vista_sql.train.chunks import Array, Floats
from vista_sql.train.curves import Curve, average, curve

MOST_CONFUSIONS = 2500
"""Entries kept of a confusion matrix: all of 50 classes, some 30 KB a model."""

MOST_CURVES = 50
"""Classes up to which ROC curves are drawn: each sorts the test rows."""

MOST_POINTS = 500
"""Rows whose expected and predicted number are kept, the first by hash: a sample, some 10 KB."""

Confusion = tuple[tuple[int, int, int], ...]
"""(expected class, predicted class, rows) where there are rows."""

Points = tuple[tuple[float, float], ...]
"""(expected, predicted) numbers of some rows."""

METRICS = (
    "accuracy", "precision", "recall", "f1_score", "roc_auc", "log_loss", "r2", "mae", "rmse",
)  # fmt: skip


class Metrics(Struct, frozen=True):
    """One model's figures over some rows."""

    n_rows: int
    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1_score: float | None = None
    roc_auc: float | None = None
    log_loss: float | None = None
    r2: float | None = None  # of numbers: these three, and none of the others
    mae: float | None = None
    rmse: float | None = None
    roc: Curve | None = None  # one-vs-rest mean where there are more than two classes
    confusion: Confusion = ()  # most rows first
    points: Points = ()


def probabilities(margins: Array) -> Floats:
    """Return (rows, classes) from (rows, 1) log-odds of class 1, or from (rows, classes) scores."""
    z = margins.astype(np.float64)
    if z.shape[1] == 1:
        z = np.concatenate([np.zeros_like(z), z], axis=1)
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return z


class Gatherer:
    """Gathers expected classes and margins; keeps a float32 score per row and class for roc_auc."""

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes
        self._confusion = np.zeros((n_classes, n_classes), np.int64)
        self._loss = 0.0
        self._codes: list[Array] = []
        self._scores: list[Array] = []

    def add(self, codes: Array, margins: Array) -> None:
        """Add rows: expected classes (rows,) and margins (rows, 1 or classes)."""
        chances = probabilities(margins)
        if margins.shape[1] == 1:
            predicted = (margins[:, 0] > 0).astype(np.int64)  # even odds go to the smaller class
            self._scores.append(margins.astype(np.float32))
        else:
            predicted = chances.argmax(axis=1)
            self._scores.append(chances.astype(np.float32))
        np.add.at(self._confusion, (codes, predicted), 1)
        expected = chances[np.arange(len(codes)), codes]
        self._loss -= float(np.log(np.maximum(expected, np.finfo(np.float64).eps)).sum())
        self._codes.append(codes.copy())

    def result(self) -> Metrics:
        """Return the metrics of all rows added."""
        confusion = self._confusion
        n = int(confusion.sum())
        if n == 0:
            return Metrics(0)
        right = np.diag(confusion).astype(np.float64)
        expected, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
        precision = right / np.maximum(predicted, 1)
        recall = right / np.maximum(expected, 1)
        f1 = 2 * right / np.maximum(expected + predicted, 1)
        chosen = np.array([False, True]) if self.n_classes == 2 else expected + predicted > 0
        return Metrics(
            n_rows=n,
            accuracy=float(right.sum() / n),
            precision=float(precision[chosen].mean()),
            recall=float(recall[chosen].mean()),
            f1_score=float(f1[chosen].mean()),
            roc_auc=self._auc(),
            log_loss=self._loss / n,
            roc=self._roc(),
            confusion=_most(
                dict(
                    zip(
                        ((i, j) for i, j in np.argwhere(confusion).tolist()),
                        confusion[confusion > 0].tolist(),
                        strict=True,
                    )
                )
            ),
        )

    def _sides(self) -> list[tuple[Array, Array]]:
        """Return (rows,) bool, is the row of the class, and (rows,) scores, per class.

        Of two classes only the larger one.
        """
        codes, scores = np.concatenate(self._codes), np.concatenate(self._scores)
        if scores.shape[1] == 1:
            return [(codes == 1, scores[:, 0])]
        return [(codes == c, scores[:, c]) for c in range(self.n_classes)]

    def _roc(self) -> Curve | None:
        if self.n_classes > MOST_CURVES:
            return None
        return average([curve(positive, scores) for positive, scores in self._sides()])

    def _auc(self) -> float | None:
        areas = [area(positive, scores) for positive, scores in self._sides()]
        known = [value for value in areas if value is not None]
        return sum(known) / len(known) if known else None


class NumberGatherer:
    """Gathers expected numbers, and what was predicted: r2, mae and rmse as scikit-learn's.

    r2 is 1 - Σ(y - p)² / Σ(y - mean y)², None where all expected numbers are equal.
    """

    def __init__(self, values: Floats) -> None:
        """Take the numbers (values,) float64 that codes stand for."""
        self._values = values
        self._expected = [np.zeros(0)]
        self._predicted = [np.zeros(0)]

    def add(self, codes: Array, margins: Array) -> None:
        """Add rows: codes (rows,) of expected numbers, and predicted numbers (rows, 1)."""
        self.add_numbers(self._values[codes], margins)

    def add_numbers(self, expected: Floats, margins: Array) -> None:
        """Add rows: expected numbers (rows,), and predicted numbers (rows, 1)."""
        self._expected.append(expected)
        self._predicted.append(margins[:, 0].astype(np.float64))

    def result(self) -> Metrics:
        """Return the metrics of all rows added."""
        y, predicted = np.concatenate(self._expected), np.concatenate(self._predicted)
        if not len(y):
            return Metrics(0)
        off = y - predicted
        mean_square, variance = float(np.mean(off * off)), float(np.var(y))
        return Metrics(
            n_rows=len(y),
            r2=1.0 - mean_square / variance if variance > 0 else None,
            mae=float(np.abs(off).mean()),
            rmse=math.sqrt(mean_square),
            points=tuple(
                (float(f"{expected:.6g}"), float(f"{number:.6g}"))
                for expected, number in zip(y[:MOST_POINTS], predicted, strict=False)
            ),
        )


def _most(counts: Mapping[tuple[int, int], int]) -> Confusion:
    entries = sorted((-n, pair) for pair, n in counts.items())[:MOST_CONFUSIONS]
    return tuple((*pair, -n) for n, pair in entries)


def area(positive: Array, scores: Array) -> float | None:
    """Return the area under the ROC curve: P(score of a positive > of a negative), ties half.

    >>> area(np.array([False, True, False, True]), np.array([0.1, 0.8, 0.8, 0.9]))
    0.875

    Args:
        positive: (rows,) bool.
        scores: (rows,).

    Returns:
        None where all rows are positive, or none is.
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2.0)[inverse]
    rank_sum = float(ranks[positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2.0) / (n_positive * n_negative)


def mean(parts: list[Metrics]) -> tuple[Metrics, float | None]:
    """Return folds' mean metrics (n_rows: their sum) and the standard deviation of f1_score."""
    values: dict[str, float | None] = {}
    for name in METRICS:
        known = [v for part in parts if (v := getattr(part, name)) is not None]
        values[name] = math.fsum(known) / len(known) if known else None
    scores = [part.f1_score for part in parts if part.f1_score is not None]
    spread = float(np.std(scores)) if scores else None
    counts: Counter[tuple[int, int]] = Counter()
    for part in parts:
        for expected, predicted, n in part.confusion:
            counts[expected, predicted] += n
    return Metrics(
        n_rows=sum(part.n_rows for part in parts),
        **values,
        roc=average([part.roc for part in parts]),
        confusion=_most(counts),
        points=tuple(point for part in parts for point in part.points[: MOST_POINTS // len(parts)]),
    ), spread
