"""Spark MLlib's logistic regression, on Spark: the objective of `logistic`, minimized by Spark.

Spark brings features to deviation 1 with n - 1 rows where `logistic` has n, and fits a model at a
time; else the objective is the same. Rows are told apart, and models kept, as for every trainer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from vista_sql.errors import ModelError
from vista_sql.train import Fit, Options, Task, Trainer, elastic_net
from vista_sql.train.chunks import Floats
from vista_sql.train.encoding import NO_SHIFT
from vista_sql.train.examples import Examples, Problem, Solution
from vista_sql.train.moments import class_counts
from vista_sql.train.passes import Rows
from vista_sql.train.remote import RemoteRows
from vista_sql.train.trainers import logistic


def fit(rows: Rows, tasks: Sequence[Task], options: Options) -> list[Fit]:
    """Fit tasks to rows that a cluster keeps, one after another.

    Returns:
        Fits as `logistic` returns them.

    Raises:
        ModelError: the rows are here.
    """
    if not isinstance(rows, RemoteRows):
        raise ModelError(
            "trainer => 'mllib' trains rows where Spark keeps them, and budget_seconds brings them "
            "to the driver: leave one of the two out"
        )
    counts = class_counts(rows, options.folds, options.n_classes)
    return [_fitted(rows, task, counts, options) for task in tasks]


def _fitted(rows: RemoteRows, task: Task, counts: Floats, options: Options) -> Fit:
    started = time.perf_counter()
    per_class = counts.sum(axis=0) if task.fold is None else np.delete(counts, task.fold, 0).sum(0)
    weights = np.ones(options.n_classes)
    if options.balanced:
        weights = per_class.sum() / (options.n_classes * np.maximum(per_class, 1.0))
    shift = rows.shift(task.fold) if task.features.structured else NO_SHIFT
    unscaled = None if options.standardize else rows.moments
    examples = Examples(rows, task, options.folds, weights, shift, unscaled)
    problem = Problem(
        options.n_classes,
        task.reg,
        task.l1_ratio,
        options.standardize,
        options.max_iterations,
        options.tolerance,
    )
    found: Solution = rows.there.fitted(examples, problem)
    coef, intercept = found.coef, found.intercept
    if unscaled is not None and task.features.structured:  # to the units of the chunks
        n = rows.layout.n_structured
        intercept = intercept + coef[:, :n] @ unscaled.mean
        coef[:, :n] *= unscaled.scale
    arrays = elastic_net.in_units(rows, task, shift.weights(coef), intercept)
    converged = found.iterations < options.max_iterations
    seconds = time.perf_counter() - started
    return Fit(task, arrays, found.iterations, converged, found.objective, seconds)


TRAINER = Trainer(
    name="mllib",
    fit=fit,
    scoring=elastic_net.scoring,
    margins=elastic_net.margins,
    meaning="logistic regression with elastic net, by Spark MLlib, on Spark",
    host="spark",
    has_penalty=True,
    is_linear=True,
    as_sql=logistic.as_sql,
    as_onnx=elastic_net.margins_as_onnx,
)
