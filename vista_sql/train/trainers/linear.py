"""Linear regression with elastic net: `elastic_net` with half the squared error of a number.

The label is brought to mean 0 and deviation 1 over the training rows, as features are, so that
`reg` means the same whatever the label's unit. The same in scikit-learn: `ElasticNet(alpha=reg,
l1_ratio=l1_ratio)` on StandardScaler's output for features and label. With standardize => false
the penalty is on the raw weights and the error in the label's own unit: `ElasticNet` as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vista_sql.train import Arrays, Fit, Options, Task, Trainer, elastic_net
from vista_sql.train.moments import block_moments
from vista_sql.train.training_rows import Array, Floats, TrainingRows


def fit(rows: TrainingRows, tasks: Sequence[Task], options: Options) -> list[Fit]:
    """Fit all tasks to sealed and rescaled rows, in the same passes over them.

    Returns:
        Fits whose arrays are `coef` (1, features) and `intercept` (1,), in the label's unit.

    Raises:
        PlanError: the optimizers' state alone would not fit in memory.
    """
    values, rows_of_value = options.values, block_moments(rows, 0, len(options.values))[1][0]
    mean = float(rows_of_value @ values / rows_of_value.sum())
    scale = float(np.sqrt(rows_of_value @ (values - mean) ** 2 / rows_of_value.sum())) or 1.0
    target = (values - mean) / scale

    def residual(margins: Array, code: Array, weight: Array | None, losses: Floats) -> Array:
        """Return margins - target, and add each model's halves of squares to `losses`."""
        margins -= target[code].astype(margins.dtype)[:, None]
        squares = margins * margins
        if weight is not None:
            squares *= weight
            margins *= weight
        losses += 0.5 * squares.sum(axis=0, dtype=np.float64)
        return margins

    loss = elastic_net.Loss(1, lambda weights: np.zeros(1), residual, l1_factor=1.0 / scale)
    return [
        replace(fitted, arrays=_in_units(fitted.arrays, mean, scale))
        for fitted in elastic_net.fit(rows, tasks, options, loss)
    ]


def _in_units(arrays: Arrays, mean: float, scale: float) -> Arrays:
    return {"coef": arrays["coef"] * scale, "intercept": arrays["intercept"] * scale + mean}


def as_sql(arrays: Arrays, structured: Sequence[str], layers: Mapping[str, int]) -> str:
    """Return an expression: one weighted sum."""
    (value,) = elastic_net.sums_as_sql(arrays, structured, layers)
    return value


TRAINER = Trainer(
    name="linear",
    fit=fit,
    score=elastic_net.score,
    margins=elastic_net.margins,
    meaning="linear regression of a number with elastic net, full gradients over a stream",
    learns="numbers",
    has_penalty=True,
    as_sql=as_sql,
)
