"""Logistic regression with elastic net: `elastic_net` with the log-loss.

The loss is log(1 + exp(-±margin)) for two classes, softmax cross-entropy for more. The same in
scikit-learn: `LogisticRegression(l1_ratio=l1_ratio, C=1/(reg·n), solver='saga')` on
StandardScaler's output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vista_sql.train import Arrays, Fit, Options, Task, Trainer, elastic_net
from vista_sql.train.as_sql import softmax
from vista_sql.train.chunks import Array, Floats
from vista_sql.train.passes import Rows


def fit(rows: Rows, tasks: Sequence[Task], options: Options) -> list[Fit]:
    """Fit all tasks to sealed and rescaled rows, in the same passes over them.

    Returns:
        Fits whose arrays are `coef` (columns, features) and `intercept` (columns,): one column for
        two classes, else one per class.

    Raises:
        PlanError: the optimizers' state alone would not fit in memory.
    """
    columns = 1 if options.n_classes == 2 else options.n_classes
    return elastic_net.fit(rows, tasks, options, elastic_net.Loss(columns, _start, _residual))


def _start(per_class: Floats) -> Floats:
    """Return the intercepts that are best without features, as in MLlib."""
    prior = np.log(np.maximum(per_class, 1e-300) / per_class.sum())
    return np.asarray(prior[1:] - prior[0] if len(prior) == 2 else prior - prior.mean())


def _residual(
    margins: Array,
    code: Array,
    weight: Array | None,
    losses: Floats,
    folds: Sequence[int | None],
) -> Array:
    """Return ∂loss/∂margin, and add each model's loss to `losses`.

    Args:
        margins: (rows, models · columns), the training's dtype; is overwritten.
        code: (rows,) classes.
        weight: (rows, models), or None for 1.
        losses: (models,) float64; is added to.
        folds: of the models; a class is the same in each.

    Returns:
        (rows, models · columns), in the dtype of `margins`.
    """
    del folds
    n, n_models = len(margins), len(losses)
    if margins.shape[1] == n_models:  # two classes: one column per model
        target = (code == 1).astype(margins.dtype)[:, None]
        tail = np.exp(-np.abs(margins))
        loss = np.log1p(tail) + np.maximum(margins, 0.0) - target * margins
        residual: Array = np.where(margins >= 0, 1.0, tail) / (1.0 + tail) - target
        if weight is not None:
            loss *= weight
            residual *= weight
        losses += loss.sum(axis=0, dtype=np.float64)
        return residual
    scores = margins.reshape(n, n_models, -1)
    scores -= scores.max(axis=2, keepdims=True)
    expected = np.take_along_axis(scores, code[:, None, None], axis=2)[:, :, 0].copy()
    np.exp(scores, out=scores)
    total = scores.sum(axis=2)
    loss = np.log(total) - expected
    scores /= total[:, :, None]
    scores[np.arange(n), :, code] -= 1.0
    if weight is not None:
        loss *= weight
        scores *= weight[:, :, None]
    losses += loss.sum(axis=0, dtype=np.float64)
    return margins


def as_sql(arrays: Arrays, structured: Sequence[str], layers: Mapping[str, int]) -> str:
    """Return an expression: the softmax of one weighted sum per column."""
    return softmax(elastic_net.sums_as_sql(arrays, structured, layers))


TRAINER = Trainer(
    name="logistic",
    fit=fit,
    scoring=elastic_net.scoring,
    margins=elastic_net.margins,
    meaning="logistic regression with elastic net, full gradients over a stream",
    has_penalty=True,
    ranks=True,
    is_linear=True,
    as_sql=as_sql,
    as_onnx=elastic_net.margins_as_onnx,
)
