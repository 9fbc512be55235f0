"""A decision tree on the structured columns: the baseline that beat the CNN on the paper's Foods.

scikit-learn's DecisionTreeClassifier (Gini, depth 5 as Spark MLlib's default), on the rescaled
columns in float32. Its rows are gathered in memory: structured columns only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct

from vista_sql.errors import PlanError
from vista_sql.train import Arrays, Fit, Options, Task, Trainer
from vista_sql.train.as_onnx import Nodes
from vista_sql.train.as_sql import double, doubles
from vista_sql.train.chunks import Array, Chunk, ColumnMoments, Floats
from vista_sql.train.encoding import Shift
from vista_sql.train.hashing import fold_of
from vista_sql.train.passes import Rows

MAX_DEPTH = 5  # Spark MLlib's maxDepth, which the paper's code leaves at its default
SMALLEST = 1e-30  # a class that a leaf has not seen: finite log-odds


def fit(rows: Rows, tasks: Sequence[Task], options: Options) -> list[Fit]:
    """Fit a tree per task to the rows outside its fold.

    Returns:
        Fits whose arrays are scikit-learn's nodes (left, right, feature, threshold), `value`
        (nodes, classes) probabilities, and the columns' mean and scale, that thresholds are in.

    Raises:
        PlanError: the structured columns of all rows do not fit in memory.
    """
    from sklearn.tree import DecisionTreeClassifier

    started = time.perf_counter()
    n_bytes = 8 * rows.n_rows * (rows.layout.n_structured + 2)
    if n_bytes > options.memory_bytes:
        raise PlanError(
            f"baseline 'tree' needs all structured values in memory, {n_bytes / 2**20:.0f} MiB, "
            f"and training may use {options.memory_bytes / 2**20:.0f} MiB: leave it out, exclude "
            "columns, or raise memory_limit"
        )
    parts = [(x, chunk.code, chunk.unit, chunk.hash) for chunk, x in rows.mapped(_columns)]
    x, code, unit, hashes = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(hashes, kind="stable")  # wherever they are, in whatever order they came
    x, code, unit = x[order], code[order], unit[order]
    fold = fold_of(unit, options.folds)
    moments, fits = rows.moments, []
    for task in tasks:
        training = np.ones(len(code), bool) if task.fold is None else fold != task.fold
        seen = rows.shift(task.fold).features(x[training])
        model = DecisionTreeClassifier(
            max_depth=MAX_DEPTH,
            random_state=options.seed % 2**32,
            class_weight="balanced" if options.balanced else None,
        ).fit(seen, code[training])
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
        chances = value[model.apply(seen), code[training]]
        loss = float(-np.log(np.maximum(chances, np.finfo(np.float64).eps)).mean())
        fits.append(Fit(task, arrays, None, True, loss, time.perf_counter() - started))
    return fits


def _margins(arrays: Arrays, x: Array) -> Floats:
    """Walk the tree for rescaled rows (rows, columns), in float32 as scikit-learn does."""
    x = x.astype(np.float32, copy=False)
    node = np.zeros(len(x), np.int64)
    rows = np.arange(len(x))
    while (inner := arrays["left"][node] >= 0).any():
        row, at = rows[inner], node[inner]
        goes_left = x[row, arrays["feature"][at]] <= arrays["threshold"][at]
        node[row] = np.where(goes_left, arrays["left"][at], arrays["right"][at])
    return _logs(arrays["value"][node])


def _logs(value: Floats) -> Floats:
    """Return margins (rows, columns) of probabilities (rows, classes)."""
    logs = np.log(np.maximum(value, SMALLEST))
    return np.asarray(logs[:, 1:] - logs[:, :1] if logs.shape[1] == 2 else logs)


def _columns(chunk: Chunk) -> Array:
    """Return the structured columns (rows, columns) float32."""
    return np.array(chunk.structured, np.float32)


class _Scoring(Struct, frozen=True):
    """What several trees say of a chunk."""

    trees: Sequence[tuple[Arrays, Shift]]

    def __call__(self, chunk: Chunk) -> list[Array]:
        return [_margins(arrays, shift.features(chunk.structured)) for arrays, shift in self.trees]


def scoring(rows: Rows, fits: Sequence[Fit]) -> Callable[[Chunk], list[Array]]:
    """Return what gives the margins (rows, columns) of every tree for a chunk of rows."""
    return _Scoring([(fit.arrays, rows.shift(fit.task.fold)) for fit in fits])


def margins(arrays: Arrays, x: Floats) -> Floats:
    """Score rows (rows, columns) in the user's units."""
    return _margins(arrays, ColumnMoments(arrays["mean"], arrays["scale"]).apply(x))


def as_sql(arrays: Arrays, structured: Sequence[str], layers: Mapping[str, int]) -> str:
    """Return an expression: nested CASEs whose leaves are lists of probabilities."""
    del layers  # see reads_layers
    left, right = arrays["left"].tolist(), arrays["right"].tolist()
    feature, threshold = arrays["feature"].tolist(), arrays["threshold"].tolist()
    mean = arrays["mean"].tolist()
    factor = ColumnMoments(arrays["mean"], arrays["scale"]).factor.tolist()

    def node(i: int) -> str:
        if left[i] < 0:
            return doubles(arrays["value"][i].tolist())
        column = feature[i]
        value = f"CAST({structured[column]} AS DOUBLE)"
        scaled = f"CAST(({value} - {double(mean[column])}) * {double(factor[column])} AS FLOAT)"
        test = f"CAST({scaled} AS DOUBLE) <= {double(threshold[i])}"
        return f"CASE WHEN {test} THEN {node(left[i])} ELSE {node(right[i])} END"

    return node(0)


def as_onnx(nodes: Nodes, arrays: Arrays, features: str) -> str:
    """Write `margins` as nodes of ONNX: every test of the tree, then a walk along their answers.

    All rows take as many steps as the deepest tree has; those that reach a leaf stay there.
    """
    places = np.arange(len(arrays["left"]))
    is_leaf = arrays["left"] < 0
    left = np.where(is_leaf, places, arrays["left"])
    right = np.where(is_leaf, places, arrays["right"])
    moments = ColumnMoments(arrays["mean"], arrays["scale"])
    shifted = nodes.node("Sub", [features, nodes.doubles(moments.mean)])
    scaled = nodes.node("Mul", [shifted, nodes.doubles(moments.factor)])
    rounded = nodes.cast(nodes.cast(scaled, np.float32), np.float64)
    column = nodes.constant(np.where(is_leaf, 0, arrays["feature"]))
    tested = nodes.node("Gather", [rounded, column], axis=1)  # (rows, nodes)
    goes_left = nodes.node("LessOrEqual", [tested, nodes.doubles(arrays["threshold"])])
    at = nodes.constant(np.zeros((1, 1), np.int64))
    answer = nodes.node("Gather", [goes_left, nodes.constant([0])], axis=1)  # (rows, 1)
    lefts, rights = nodes.constant(left), nodes.constant(right)
    for step in range(MAX_DEPTH):
        if step:
            answer = nodes.node("GatherElements", [goes_left, at], axis=1)
        ways = [nodes.node("Gather", [way, at]) for way in (lefts, rights)]
        at = nodes.node("Where", [answer, *ways])
    logs = _logs(arrays["value"])
    found = nodes.node("Gather", [nodes.doubles(logs), at])  # (rows, 1, columns)
    return nodes.node("Reshape", [found, nodes.constant([-1, logs.shape[1]])])


TRAINER = Trainer(
    name="tree",
    fit=fit,
    scoring=scoring,
    margins=margins,
    meaning="decision tree on the structured columns",
    is_baseline=True,
    reads_layers=False,
    as_sql=as_sql,
    as_onnx=as_onnx,
)
