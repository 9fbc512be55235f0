"""Models of growing samples of the rows → which is best: successive halving.

Each round trains the models that are left on all rows so far and begins when there are twice as
many as at the last. Two models are compared on the same test rows: with b rows that only the better
one gets right and c that only the other does, z = (b - c) / √(b + c) (McNemar). A model that is
BEHIND the best is dropped, and of the worse half one that is HALF_BEHIND. The rows that have come
must be a random sample of all: VISTA_COMPARE reads them in the order of a hash.

Of the budget, counted since the statement runs, rows come in the first half, and the last training
has the rest, half of it at least. What cannot be interrupted is said: networks are loaded, rows
inferred until there are enough to train on, and some passes over them made, however long it takes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vista_sql import models
from vista_sql.models import ModelRow
from vista_sql.train import STRUCTURED
from vista_sql.train.chunks import Array

FIRST_ROWS = 256  # the first round's
BEHIND = 3.0  # standard errors: 1 in 740 by chance, and there are rounds × models chances
HALF_BEHIND = 2.0
READING = 0.5  # share of the budget until which rows come


def right(codes: Array, margins: Array) -> Array:
    """Return (rows,) bool: is the class that margins (rows, 1 or classes) say that of `codes`?"""
    predicted = margins[:, 0] > 0 if margins.shape[1] == 1 else margins.argmax(axis=1)
    return np.asarray(predicted == codes)


def ahead(best: Array, other: Array) -> float:
    """Return by how many standard errors `best` (rows,) bool is right more often than `other`."""
    b, c = int((best & ~other).sum()), int((other & ~best).sum())
    return (b - c) / math.sqrt(b + c) if b + c else 0.0


def judge(rows: Sequence[ModelRow], hits: Sequence[Array]) -> list[float]:
    """Add `confidence` to the rows, and return by how many standard errors each is behind the best.

    `confidence` is how sure it is that a row is worse than the best; for the best, that it is
    better than the one that comes closest. Sampling of test rows is all that it knows of.

    Args:
        rows: one per model.
        hits: per model (test rows,) bool: was the row's class predicted?
    """
    if not rows or any(row["f1_score"] is None for row in rows):
        for row in rows:
            row["confidence"] = None
        return [0.0] * len(rows)
    best = max(range(len(rows)), key=lambda i: models.rank(rows[i]))
    behind = [ahead(hits[best], right_rows) for right_rows in hits]
    for row, z in zip(rows, behind, strict=True):
        row["confidence"] = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    others = [0.5 * (1 + math.erf(z / math.sqrt(2))) for i, z in enumerate(behind) if i != best]
    rows[best]["confidence"] = min(others) if others else None
    return behind


@dataclass(slots=True)
class Race:
    """The rounds of one VISTA_COMPARE with a budget."""

    budget_seconds: float
    clock: Callable[[], float] = time.monotonic
    next_rows: int = FIRST_ROWS
    dropped: dict[str, list[ModelRow]] = field(default_factory=dict)  # by feature set
    began: float = field(init=False)
    _last_from: float | None = field(init=False, default=None)  # seconds

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return self.clock() - self.began

    @property
    def over(self) -> bool:
        """Whether no more rows are wanted, for the time is needed to train."""
        return self.seconds > self.budget_seconds * READING

    def begin_last_training(self) -> None:
        """Begin the training that makes the result."""
        self._last_from = self.seconds

    @property
    def training_over(self) -> bool:
        """Whether a training should end with what it has."""
        if self._last_from is None:
            return self.over
        share = self.budget_seconds * (1 - READING)
        return self.seconds > max(self.budget_seconds, self._last_from + share)

    @property
    def overrun(self) -> str | None:
        """What is to be said where it took longer than the budget; None: it did not."""
        if self.seconds <= self.budget_seconds or self._last_from is None:
            return None
        return (
            f"budget_seconds => {self.budget_seconds:g} became {self.seconds:.1f}: after "
            f"{self._last_from:.1f} s there were rows to train on, for nothing interrupts the "
            "loading of CNNs, nor a batch, nor the first passes of a training"
        )

    def due(self, n_rows: int) -> bool:
        """Return whether a round begins."""
        return n_rows >= self.next_rows

    def round(self, n_rows: int, rows: Sequence[ModelRow], hits: Sequence[Array]) -> bool:
        """Drop the feature sets that are behind, and return whether the winner is clear.

        Args:
            n_rows: how many rows have come.
            rows: the round's models.
            hits: as `judge` has them.
        """
        self.next_rows = 2 * n_rows
        behind = judge(rows, hits)
        ranked = sorted(range(len(rows)), key=lambda i: models.rank(rows[i]), reverse=True)
        half = set(ranked[math.ceil(len(ranked) / 2) :])
        by_set: dict[str, list[int]] = {}
        for i, row in enumerate(rows):
            by_set.setdefault(row["feature_set"], []).append(i)
        winner = rows[ranked[0]]["feature_set"]
        clear = len(by_set) > 1 or bool(self.dropped)  # one alone has beaten nobody
        for name, members in by_set.items():
            if name == winner:
                continue
            clear = clear and all(behind[i] >= BEHIND for i in members)
            lost = all(behind[i] >= (HALF_BEHIND if i in half else BEHIND) for i in members)
            if lost and name != STRUCTURED:  # what lift is measured from stays
                self.dropped[name] = [rows[i] for i in members]
        return clear


def in_order(rows: Iterable[ModelRow]) -> list[ModelRow]:
    """Return rows, best first."""
    return sorted(rows, key=models.rank, reverse=True)
