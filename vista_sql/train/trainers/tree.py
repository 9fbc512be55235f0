"""A decision tree on the structured columns: the baseline that beat the CNN on the paper's Foods.

scikit-learn's DecisionTreeClassifier (Gini, depth 5 as Spark MLlib's default), on the rescaled
columns in float32. Its rows are gathered in memory: structured columns only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vista_sql.errors import PlanError
from vista_sql.train import Fit, Options, Task, Trainer
from vista_sql.train.moments import fold_of
from vista_sql.train.training_rows import Array, Floats, Moments, Rows, Store

MAX_DEPTH = 5  # Spark MLlib's maxDepth, which the paper's code leaves at its default
SMALLEST = 1e-30  # a class that a leaf has not seen: finite log-odds


def fit(store: Store, tasks: Sequence[Task], options: Options) -> list[Fit]:
    """Fit a tree per task to the rows outside its fold.

    Raises:
        PlanError: the structured columns of all rows do not fit in memory.
    """
    from sklearn.tree import DecisionTreeClassifier

    started = time.perf_counter()
    need = 8 * store.n_rows * (store.layout.n_structured + 2)
    if need > options.memory_bytes:
        raise PlanError(
            f"baseline 'tree' needs all structured values in memory, {need / 2**20:.0f} MiB, and "
            f"training may use {options.memory_bytes / 2**20:.0f} MiB: leave it out, exclude "
            "columns, or raise memory_limit"
        )
    chunks = [
        (rows.structured.astype(np.float32), rows.code.copy(), rows.unit.copy())
        for rows in store.chunks()
    ]
    x, code, unit = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    fold = fold_of(unit, options.folds)
    moments, fits = store.moments, []
    for task in tasks:
        own = np.ones(len(code), bool) if task.fold is None else fold != task.fold
        model = DecisionTreeClassifier(
            max_depth=MAX_DEPTH,
            random_state=options.seed % 2**32,
            class_weight="balanced" if options.balanced else None,
        ).fit(x[own], code[own])
        tree = model.tree_
        value = np.zeros((tree.node_count, options.n_classes))
        value[:, model.classes_] = tree.value[:, 0, :]
        value /= value.sum(axis=1, keepdims=True)
        arrays = {
            "left": tree.children_left.copy(),
            "right": tree.children_right.copy(),
            "feature": tree.feature.copy(),
            "threshold": tree.threshold.copy(),
            "value": value,
            "mean": moments.mean,
            "scale": moments.scale,
        }
        own_chance = value[model.apply(x[own]), code[own]]
        loss = float(-np.log(np.maximum(own_chance, np.finfo(np.float64).eps)).mean())
        fits.append(Fit(task, arrays, None, True, loss, time.perf_counter() - started))
    return fits


def _margins(arrays: Mapping[str, Array], x: Array) -> Floats:
    """Walk the tree for rescaled rows (n, columns), in float32 as scikit-learn does."""
    x = x.astype(np.float32, copy=False)
    node = np.zeros(len(x), np.int64)
    rows = np.arange(len(x))
    while (inner := arrays["left"][node] >= 0).any():
        here, at = rows[inner], node[inner]
        goes_left = x[here, arrays["feature"][at]] <= arrays["threshold"][at]
        node[here] = np.where(goes_left, arrays["left"][at], arrays["right"][at])
    logs = np.log(np.maximum(arrays["value"][node], SMALLEST))
    return np.asarray(logs[:, 1:] - logs[:, :1] if logs.shape[1] == 2 else logs)


def score(store: Store, fits: Sequence[Fit]) -> Iterator[tuple[Rows, list[Array]]]:
    """Yield the store's chunks with the margins of every tree."""
    for rows in store.chunks():
        yield rows, [_margins(fit.arrays, rows.structured) for fit in fits]


def margins(arrays: Mapping[str, Array], x: Floats) -> Floats:
    """Score rows in the user's units."""
    return _margins(arrays, Moments(arrays["mean"], arrays["scale"]).apply(x))


TRAINER = Trainer(
    name="tree",
    fit=fit,
    score=score,
    margins=margins,
    meaning="decision tree on the structured columns",
)
