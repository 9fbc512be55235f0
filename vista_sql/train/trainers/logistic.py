"""Logistic regression with elastic net over a stream, many models in the same passes.

The objective is Spark MLlib's and the Vista paper's (section 3.1: elastic net 0.5, λ 0.01):

    (1/Σᵢvᵢ) Σᵢ vᵢ·loss(yᵢ, w·xᵢ + b) + reg·(l1_ratio·‖w‖₁ + (1 - l1_ratio)/2·‖w‖₂²)

where x is standardized (minus mean, over standard deviation, of the training rows), b is free of
penalty, vᵢ is 1 or, when balanced, n / (classes · rows of the class), and loss is the log-loss:
log(1 + exp(-±margin)) for two classes, softmax cross-entropy for more. The same in scikit-learn:
`LogisticRegression(l1_ratio=l1_ratio, C=1/(reg·n), solver='saga')` on StandardScaler's output.

Standardizing is implicit: with μ, σ a margin is x·(w/σ) + (b - w·(μ/σ)), and the gradient is
(Σ rᵢxᵢ - μ Σ rᵢ)/σ, so that chunks are read as they are. With standardize => false the penalty is
on the raw weights, and the optimizer works in the standardized space all the same (as MLlib does).
Chunks and products are float32 (float64 in small trainings); losses, gradient sums, weights and
optimizer state are float64.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vista_sql.errors import PlanError
from vista_sql.train import Fit, Options, Task, Trainer
from vista_sql.train.lanes import LANES, accumulate
from vista_sql.train.moments import block_moments, fold_of
from vista_sql.train.trainers._owlqn import MEMORY, Minimum, minimize
from vista_sql.train.training_rows import Array, Floats, Moments, Rows, Store

Optimizer = Generator[Floats, tuple[float, Floats], Minimum]


@dataclass(slots=True)
class _Model:
    """One task and its optimizer; `x` is (columns, features + 1) flattened, intercepts last."""

    task: Task
    blocks: list[int]
    mean: Floats  # (features,)
    factor: Floats  # (features,): 1/σ
    n_columns: int
    optimizer: Optimizer
    x: Floats
    end: Minimum | None = None
    seconds: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_columns, len(self.mean) + 1

    def raw(self, x: Floats) -> tuple[Floats, Floats]:
        """Return weights (columns, features) and intercepts for rows as they are stored."""
        w = x.reshape(self.shape)
        coef = w[:, :-1] * self.factor
        return coef, w[:, -1] - coef @ self.mean

    def gradient(self, product: Floats, residual: Floats) -> Floats:
        """Return the loss's gradient in x, from Σ r·x (columns, features) and Σ r (columns,)."""
        slope = np.empty(self.shape)
        slope[:, :-1] = (product - residual[:, None] * self.mean) * self.factor
        slope[:, -1] = residual
        return slope.ravel()


def fit(store: Store, tasks: Sequence[Task], options: Options) -> list[Fit]:
    """Fit all tasks to the rows of a sealed and rescaled store.

    Raises:
        PlanError: the optimizers' state alone would not fit in memory.
    """
    started = time.perf_counter()
    _check_memory(store, tasks, options)
    whole = store.moments
    moments, counts = block_moments(store, options.folds, options.n_classes)
    weights = _row_weights(counts, tasks, options)
    order = sorted(range(len(tasks)), key=lambda i: (tasks[i].features.name, i))
    models = {
        i: _model(tasks[i], moments, store, weights.column(tasks[i].fold), options) for i in order
    }
    for model in models.values():
        model.x = next(model.optimizer)
    while active := [models[i] for i in order if models[i].end is None]:
        answers = _pass(store, active, weights, options)
        for model, answer in zip(active, answers, strict=True):
            try:
                model.x = model.optimizer.send(answer)
            except StopIteration as stop:
                model.end, model.seconds = stop.value, time.perf_counter() - started
    return [_finished(models[i], whole) for i in range(len(tasks))]


def _check_memory(store: Store, tasks: Sequence[Task], options: Options) -> None:
    columns = 1 if options.n_classes == 2 else options.n_classes
    sizes = store.layout.layer_sizes
    values = sum(
        columns
        * (store.layout.n_structured + sum(sizes[i] for i in task.features.layers))
        * (2 * MEMORY + 8 + LANES)  # pairs, point, direction, gradients, sums
        for task in tasks
    )
    if 8 * values > options.memory_bytes:
        raise PlanError(
            f"{len(tasks)} models need {8 * values / 2**20:.0f} MiB for the optimizer's state and "
            f"training may use {options.memory_bytes / 2**20:.0f} MiB: train fewer layers, reg "
            "values or folds at a time, pool the features, or raise memory_limit"
        )


@dataclass(frozen=True, slots=True)
class _RowWeights:
    """vᵢ by (fold, class) of a row and by the fold that a model leaves out."""

    table: Floats  # (folds, classes, 1 + folds); the last index is the model's, 0: leaves out none
    counts: Floats  # (folds, classes): training rows
    uniform: bool  # every weight is 1

    def column(self, fold: int | None) -> Floats:
        """Return total weight by class (classes,) of a model's training rows."""
        return np.asarray((self.table[:, :, _column(fold)] * self.counts).sum(axis=0))


def _column(fold: int | None) -> int:
    return 0 if fold is None else fold + 1


def _row_weights(counts: Floats, tasks: Sequence[Task], options: Options) -> _RowWeights:
    folds, classes = counts.shape
    table = np.ones((folds, classes, 1 + options.folds))
    for fold in range(options.folds):
        table[fold, :, fold + 1] = 0.0
    if options.balanced:
        for column in range(1 + options.folds):
            per_class = (table[:, :, column] * counts).sum(axis=0)
            table[:, :, column] *= per_class.sum() / (classes * np.maximum(per_class, 1.0))
    uniform = not options.balanced and all(task.fold is None for task in tasks)
    return _RowWeights(table, counts, uniform)


def _model(
    task: Task, moments: list[list[Moments]], store: Store, totals: Floats, options: Options
) -> _Model:
    blocks = _blocks(task)
    chosen = [moments[-1 if task.fold is None else task.fold][b] for b in blocks]
    mean = np.concatenate([m.mean for m in chosen] or [np.zeros(0)])
    factor = np.concatenate([m.factor for m in chosen] or [np.zeros(0)])
    columns = 1 if options.n_classes == 2 else options.n_classes
    strength, whole = np.ones(len(mean)), store.moments
    # a mean of n losses is surer than one: measured, not derived
    noise = float(np.finfo(store.dtype).eps) / 64
    if not options.standardize:  # penalty on raw weights w/σ; block 0's σ is of rescaled columns
        strength = factor.copy()
        if task.features.structured:
            strength[: len(whole.mean)] *= whole.factor
    l1 = np.zeros((columns, len(mean) + 1))
    l2 = np.zeros((columns, len(mean) + 1))
    l1[:, :-1] = task.reg * task.l1_ratio * strength
    l2[:, :-1] = task.reg * (1.0 - task.l1_ratio) * strength**2
    start = np.zeros((columns, len(mean) + 1))
    prior = np.log(np.maximum(totals, 1e-300) / totals.sum())  # as in MLlib: best without features
    start[:, -1] = prior[1] - prior[0] if columns == 1 else prior - prior.mean()
    optimizer = minimize(
        start.ravel(), l1.ravel(), l2.ravel(), options.max_iterations, options.tolerance, noise
    )
    return _Model(task, blocks, mean, factor, columns, optimizer, start.ravel())


@dataclass(frozen=True, slots=True)
class _Stacked:
    """The weights of several models side by side, per block: one product serves them all."""

    bias: Array  # (all columns,)
    users: list[list[int]]  # [block]: the models that use it
    columns: list[Any]  # [block]: where their columns are: a slice, or an index
    coefs: list[Array]  # [block]: (values, their columns)

    @property
    def used(self) -> list[int]:
        """The blocks that have values and users."""
        return [b for b, coef in enumerate(self.coefs) if coef.size]

    def margins(self, rows: Rows) -> Array:
        """Return (rows, all columns)."""
        blocks = (rows.structured, *rows.layers)
        result = np.empty((len(rows), len(self.bias)), self.bias.dtype)
        result[:] = self.bias
        for b in self.used:
            result[:, self.columns[b]] += blocks[b] @ self.coefs[b]
        return result


def _stack(
    store: Store, raw: Sequence[tuple[Floats, Floats]], blocks: Sequence[Sequence[int]]
) -> _Stacked:
    """Stack models given as (weights (columns, features), intercepts) and their blocks."""
    widths, dtype = [store.layout.n_structured, *store.layout.layer_sizes], store.dtype
    k = len(raw[0][1])
    users, columns, coefs = [], [], []
    for block, width in enumerate(widths):
        using = [i for i, own in enumerate(blocks) if block in own]
        parts = [np.zeros((0, width))]
        for i in using:
            start = sum(widths[b] for b in blocks[i][: blocks[i].index(block)])
            parts.append(raw[i][0][:, start : start + width])
        index = [k * i + column for i in using for column in range(k)]
        adjacent = not index or index[-1] - index[0] == len(index) - 1
        users.append(using)
        columns.append(slice(index[0], index[-1] + 1) if index and adjacent else index)
        coefs.append(np.ascontiguousarray(np.concatenate(parts).T, dtype=dtype))
    bias = np.concatenate([b for _, b in raw]).astype(dtype)
    return _Stacked(bias, users, columns, coefs)


class _Sums:
    """Σ loss (models,), Σ r (columns,), and per block Σ r·x (columns, values); float64."""

    def __init__(self, stacked: _Stacked, n_models: int) -> None:
        self.losses = np.zeros(n_models)
        self.residuals = np.zeros(len(stacked.bias))
        self.products = [np.zeros((c.shape[1], c.shape[0])) for c in stacked.coefs]

    def __iadd__(self, other: _Sums) -> _Sums:
        self.losses += other.losses
        self.residuals += other.residuals
        for mine, theirs in zip(self.products, other.products, strict=True):
            mine += theirs
        return self


def _pass(
    store: Store, models: Sequence[_Model], weights: _RowWeights, options: Options
) -> list[tuple[float, Floats]]:
    """Return loss and gradient of every model at its point, from one pass over the rows."""
    raw = [model.raw(model.x) for model in models]
    stacked = _stack(store, raw, [model.blocks for model in models])
    table = weights.table[:, :, [_column(model.task.fold) for model in models]].astype(store.dtype)

    def add(sums: _Sums, rows: Rows) -> None:
        blocks = (rows.structured, *rows.layers)
        weight = None if weights.uniform else table[fold_of(rows.unit, options.folds), rows.code]
        residual = _residual(stacked.margins(rows), rows.code, weight, sums.losses)
        sums.residuals += residual.sum(axis=0, dtype=np.float64)
        for b in stacked.used:
            sums.products[b] += residual[:, stacked.columns[b]].T @ blocks[b]

    total, *others = accumulate(store, lambda: _Sums(stacked, len(models)), add)
    for other in others:
        total += other
    answers = []
    for i, model in enumerate(models):
        weight = float(weights.column(model.task.fold).sum())
        k = model.n_columns
        pieces = [np.zeros((k, 0))]
        for b in model.blocks:
            start = k * stacked.users[b].index(i)
            pieces.append(total.products[b][start : start + k])
        own = total.residuals[k * i : k * (i + 1)]
        slope = model.gradient(np.concatenate(pieces, axis=1) / weight, own / weight)
        answers.append((float(total.losses[i]) / weight, slope))
    return answers


def score(store: Store, fits: Sequence[Fit]) -> Iterator[tuple[Rows, list[Array]]]:
    """Yield the store's chunks with the margins (rows, columns) of every model."""
    raw = []
    for fit in fits:
        coef, intercept = fit.arrays["coef"].copy(), fit.arrays["intercept"]
        if fit.task.features.structured:  # to the units that the store hands out
            n, scale = store.layout.n_structured, store.moments.scale
            intercept = intercept + coef[:, :n] @ store.moments.mean
            coef[:, :n] *= scale
        raw.append((coef, intercept))
    stacked = _stack(store, raw, [_blocks(fit.task) for fit in fits])
    for rows in store.chunks():
        yield rows, np.split(stacked.margins(rows), len(fits), axis=1)


def _blocks(task: Task) -> list[int]:
    return [0] * task.features.structured + [i + 1 for i in task.features.layers]


def _residual(margins: Array, code: Array, weight: Array | None, losses: Floats) -> Array:
    """Add to `losses` (models,) and return ∂loss/∂margin (rows, models · columns).

    `margins` is overwritten; `weight` is (rows, models) or None for 1.
    """
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
    own = np.take_along_axis(scores, code[:, None, None], axis=2)[:, :, 0].copy()
    np.exp(scores, out=scores)
    total = scores.sum(axis=2)
    loss = np.log(total) - own
    scores /= total[:, :, None]
    scores[np.arange(n), :, code] -= 1.0
    if weight is not None:
        loss *= weight
        scores *= weight[:, :, None]
    losses += loss.sum(axis=0, dtype=np.float64)
    return margins


def _finished(model: _Model, whole: Moments) -> Fit:
    end = model.end
    if end is None:
        raise RuntimeError("a model was asked for before it was fitted")
    coef, intercept = model.raw(end.x)
    if model.task.features.structured:  # from rescaled columns back to the user's units
        n = len(whole.mean)
        coef[:, :n] *= whole.factor
        intercept = intercept - coef[:, :n] @ whole.mean
    arrays = {"coef": coef, "intercept": intercept}
    return Fit(model.task, arrays, end.iterations, end.converged, end.objective, model.seconds)


def margins(arrays: Mapping[str, Array], x: Floats) -> Floats:
    """Return x (rows, features) float64 · coef + intercept."""
    return np.asarray(x @ arrays["coef"].T + arrays["intercept"], dtype=np.float64)


TRAINER = Trainer(
    name="logistic",
    fit=fit,
    score=score,
    margins=margins,
    meaning="logistic regression with elastic net, full gradients over a stream",
)
