"""Linear regression with elastic net: `elastic_net` with half the squared error of a number.

The label is brought to mean 0 and deviation 1 over a model's training rows, as features are, so
that `reg` means the same whatever the label's unit. The same in scikit-learn: `ElasticNet(alpha=
reg, l1_ratio=l1_ratio)` on StandardScaler's output for features and label. With standardize =>
false the penalty is on the raw weights and the error in the label's own unit: `ElasticNet` as it
is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from vista_sql.train import Arrays, Fit, Options, Task, Trainer, elastic_net
from vista_sql.train.chunks import Array, Floats
from vista_sql.train.moments import class_counts
from vista_sql.train.passes import Rows


def fit(rows: Rows, tasks: Sequence[Task], options: Options) -> list[Fit]:
    """Fit all tasks to sealed and rescaled rows, in the same passes over them.

    Returns:
        Fits whose arrays are `coef` (1, features) and `intercept` (1,), in the label's unit.

    Raises:
        PlanError: the optimizers' state alone would not fit in memory.
    """
    counts = class_counts(rows, options.folds, len(options.values))
    units = _units(options.values, counts)
    loss = elastic_net.Loss(
        1,
        lambda weights: np.zeros(1),
        _HalfSquares(options.values, units),
        lambda fold: 1.0 / units[fold].scale,
    )
    return [
        replace(fitted, arrays=units[fitted.task.fold].of(fitted.arrays))
        for fitted in elastic_net.fit(rows, tasks, options, loss)
    ]


class _Unit(Struct, frozen=True):
    """The label's mean and deviation over the rows that a model trains on."""

    mean: float
    scale: float

    def of(self, arrays: Arrays) -> Arrays:
        """Return a model in the label's own unit, from one of the label as it was rescaled."""
        return {
            **arrays,
            "coef": arrays["coef"] * self.scale,
            "intercept": arrays["intercept"] * self.scale + self.mean,
        }


class _HalfSquares(Struct, frozen=True):
    """The loss, and ∂loss/∂margin, of labels that are brought to each model's unit."""

    values: Floats  # (values,) by code
    units: Mapping[int | None, _Unit]

    def __call__(
        self,
        margins: Array,
        code: Array,
        weight: Array | None,
        losses: Floats,
        folds: Sequence[int | None],
    ) -> Array:
        """Return margins - target, and add each model's halves of squares to `losses`."""
        values = self.values[code]
        for column, fold in enumerate(folds):
            unit = self.units[fold]
            margins[:, column] -= (values - unit.mean) / unit.scale
        squares = margins * margins
        if weight is not None:
            squares *= weight
            margins *= weight
        losses += 0.5 * squares.sum(axis=0, dtype=np.float64)
        return margins


def _units(values: Floats, counts: Floats) -> dict[int | None, _Unit]:
    """Return the label's units by the fold that a model leaves out, None: it leaves out none.

    Args:
        values: (values,) of the label.
        counts: (folds, values), rows.
    """
    units: dict[int | None, _Unit] = {}
    for left_out in (None, *range(len(counts))):
        rows = (
            counts.sum(axis=0) if left_out is None else np.delete(counts, left_out, 0).sum(axis=0)
        )
        n = max(float(rows.sum()), 1.0)
        mean = float(rows @ values / n)
        scale = float(np.sqrt(rows @ (values - mean) ** 2 / n)) or 1.0
        units[left_out] = _Unit(mean, scale)
    return units


def as_sql(arrays: Arrays, structured: Sequence[str], layers: Mapping[str, int]) -> str:
    """Return an expression: one weighted sum."""
    (value,) = elastic_net.sums_as_sql(arrays, structured, layers)
    return value


TRAINER = Trainer(
    name="linear",
    fit=fit,
    scoring=elastic_net.scoring,
    margins=elastic_net.margins,
    meaning="linear regression of a number with elastic net, full gradients over a stream",
    learns="numbers",
    has_penalty=True,
    ranks=True,
    is_linear=True,
    as_sql=as_sql,
    as_onnx=elastic_net.margins_as_onnx,
)
