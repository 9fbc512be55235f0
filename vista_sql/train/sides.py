"""The two sides of a split: the rows that train, and those that test."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from msgspec import Struct

from vista_sql.train.chunks import Chunk, Layout
from vista_sql.train.ledger import Ledger
from vista_sql.train.passes import Rows
from vista_sql.train.training_rows import IN_MEMORY_SHARE, TrainingRows


class Split(Protocol):
    """The two sides of a split, of which no row comes any more."""

    @property
    def train(self) -> Rows:
        """The rows that train; with folds all."""

    @property
    def test(self) -> Rows:
        """The rows that test."""

    def stratify(self, ledger: Ledger) -> None:
        """Move rows of small classes so that each class has its share of either side."""

    def spool(self) -> None:
        """Move rows out of memory."""

    def close(self) -> None:
        """Free memory and disk."""


class Sides(Struct, frozen=True):
    """The two sides of the split; with folds all rows are on the first."""

    train: TrainingRows
    test: TrainingRows

    @classmethod
    def empty(cls, layout: Layout) -> Sides:
        """Return sides for rows of a layout."""
        return cls(TrainingRows(layout), TrainingRows(layout))

    def __getitem__(self, number: int) -> TrainingRows:
        """Return side 0, that trains, or 1, that tests."""
        return (self.train, self.test)[number]

    def keep(self, side: int, chunk: Chunk, memory_bytes: float) -> None:
        """Add rows to a side; all rows go out of memory where they take too much of it.

        Args:
            side: 0, that trains, or 1, that tests.
            chunk: the rows.
            memory_bytes: most memory to hold.
        """
        self[side].append(chunk)
        if self.memory_bytes > memory_bytes * IN_MEMORY_SHARE:
            self.spool()

    def copy(self) -> Sides:
        """Return the rows so far; see `TrainingRows.copy`."""
        return Sides(self.train.copy(), self.test.copy())

    @property
    def n_rows(self) -> int:
        """Rows of both."""
        return self.train.n_rows + self.test.n_rows

    @property
    def memory_bytes(self) -> int:
        """Memory of both."""
        return self.train.memory_bytes + self.test.memory_bytes

    def stratify(self, ledger: Ledger) -> None:
        """Move rows of small classes so that each class has its share of either side."""
        places = ledger.stratify()
        if not places:
            return
        hashes = np.array(sorted(places), np.uint64)
        for chunk in [rows.take_out(hashes) for rows in (self.train, self.test)]:
            chunk.unit[:] = [places[row_hash] for row_hash in chunk.hash.tolist()]
            if ledger.folds:  # another fold, but all rows stay on the first side
                self.train.append(chunk)
            else:
                side = ledger.side(chunk.unit)
                self.train.append(chunk.take(np.flatnonzero(side == 0)))
                self.test.append(chunk.take(np.flatnonzero(side == 1)))

    def spool(self) -> None:
        """Move the rows out of memory, unless filling has ended."""
        for rows in (self.train, self.test):
            if not rows.sealed:
                rows.spool()

    def close(self) -> None:
        """Free memory and disk."""
        self.train.close()
        self.test.close()
