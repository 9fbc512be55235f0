"""Rows elsewhere → features, label and weight of each, as a cluster's own trainer takes them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from vista_sql.train import Task
from vista_sql.train.chunks import Array, ColumnMoments, Floats
from vista_sql.train.encoding import Shift
from vista_sql.train.hashing import fold_of
from vista_sql.train.remote import RemoteRows


class Examples(Struct, frozen=True):
    """The rows that one model is fitted to; it travels to them."""

    rows: RemoteRows
    task: Task
    folds: int
    weights: Floats  # (classes,), a row's by its class
    shift: Shift  # of the structured features of the task's fold
    unscaled: ColumnMoments | None  # structured features are brought back to the user's units

    def of(self, part: bytes | memoryview) -> Iterator[tuple[Floats, Array, Floats]]:
        """Yield features (rows, features) float64, classes (rows,) and weights (rows,)."""
        for chunk in self.rows.chunks_of(part):
            fold = fold_of(chunk.unit, self.folds)
            used = np.full(len(fold), True) if self.task.fold is None else fold != self.task.fold
            blocks = [np.asarray(block[used], np.float64) for block in chunk.blocks]
            blocks[0] = self.shift.features(blocks[0])
            if self.unscaled is not None:
                blocks[0] = blocks[0] * self.unscaled.scale + self.unscaled.mean
            x = np.concatenate([blocks[block] for block in self.task.features.blocks], axis=1)
            code = chunk.code[used]
            yield x, code, self.weights[code]


class Problem(Struct, frozen=True):
    """What a cluster's own logistic regression minimizes, in the terms of `elastic_net`."""

    n_classes: int
    reg: float
    l1_ratio: float
    standardize: bool
    max_iterations: int
    tolerance: float


class Solution(Struct, frozen=True):
    """A model of the examples, and how it was found."""

    coef: Floats  # (columns, features): one column for two classes
    intercept: Floats  # (columns,)
    iterations: int
    objective: float
