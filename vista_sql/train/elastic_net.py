"""Linear predictors with elastic net over a stream, many models in the same passes, for any loss.

The objective is Spark MLlib's and the Vista paper's (section 3.1: elastic net 0.5, λ 0.01):

    (1/Σᵢvᵢ) Σᵢ vᵢ·loss(yᵢ, w·xᵢ + b) + reg·(l1_ratio·‖w‖₁ + (1 - l1_ratio)/2·‖w‖₂²)

where x is standardized (minus mean, over standard deviation, of the training rows), b is free of
penalty, and vᵢ is 1 or, when balanced, n / (classes · rows of the class).

Standardizing is implicit: with μ, σ a margin is x·(w/σ) + (b - w·(μ/σ)), and the gradient is
(Σ rᵢxᵢ - μ Σ rᵢ)/σ, so that chunks are read as they are. With standardize => false the penalty is
on the raw weights, and the optimizer works in the standardized space all the same (as MLlib does).
Chunks and products are float32 (float64 in small trainings); losses, gradient sums, weights and
optimizer state are float64.

A task with `ranks` has the group lasso in place of ‖w‖₁, Σⱼ ‖wⱼ‖₂ over the columns of a feature's
weights (Head2Toe, Evci et al., 2022, section 3.2), and is fitted as far as ranking features takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from msgspec import Struct

from vista_sql.errors import PlanError
from vista_sql.train import Arrays, Fit, Options, Task
from vista_sql.train.as_onnx import Nodes
from vista_sql.train.as_sql import double, doubles
from vista_sql.train.chunks import Array, Chunk, ColumnMoments, Floats
from vista_sql.train.encoding import Shift
from vista_sql.train.hashing import fold_of
from vista_sql.train.lanes import LANES
from vista_sql.train.moments import block_moments
from vista_sql.train.owlqn import MEMORY, Minimum, minimize
from vista_sql.train.passes import Rows
from vista_sql.train.penalties import Absolute, Grouped

FEWEST_PASSES = 10  # the iterations of the paper's experiments: with less time, figures say nothing

RANKING_TOLERANCE = 1e-3  # by then the order of features hardly changes
RANKING_ITERATIONS = 50
RANKING_PASSES = 5  # at least: fewer tell little more than correlations
RANKING_SHARE = 0.2  # of the others' work
DENSE = 0.25  # of weights that are not 0: from here on SQL takes a product with all

Residual: TypeAlias = Callable[[Array, Array, Array | None, Floats, Sequence[int | None]], Array]
Optimizer: TypeAlias = Generator[Floats, tuple[float, Floats] | None, Minimum]


class _Descent(Struct):
    """One task, its optimizer, and the point that the optimizer asks about."""

    task: Task
    mean: Floats  # (features,)
    factor: Floats  # (features,): 1/σ
    shift: Shift  # of its fold: the structured features that it learns from, and those of chunks
    n_columns: int  # margins a row: 1 for two classes, else one per class
    threshold: Floats  # (features,): a gradient that is less gives no weight
    optimizer: Optimizer
    x: Floats  # (columns, features + 1) flattened, intercepts last
    end: Minimum | None = None
    seconds: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_columns, len(self.mean) + 1

    def raw(self, x: Floats) -> tuple[Floats, Floats]:
        """Return weights (columns, features) and intercepts for rows as they are stored."""
        w = x.reshape(self.shape)
        coef = w[:, :-1] * self.factor
        intercept = w[:, -1] - coef @ self.mean
        return self.shift.weights(coef), intercept

    def gradient(self, product: Floats, residual: Floats) -> Floats:
        """Return the loss's gradient in x, from Σ r·x (columns, features) and Σ r (columns,)."""
        slope = np.empty(self.shape)
        product = self.shift.gradient(product)
        slope[:, :-1] = (product - residual[:, None] * self.mean) * self.factor
        slope[:, -1] = residual
        return slope.ravel()


class Loss(Struct, frozen=True):
    """What a row's margins cost, as one mean over rows: the smooth part of the objective."""

    n_columns: int  # margins a row
    start: Callable[[Floats], Floats]  # rows' weights by class (classes,) → intercepts (columns,)
    residual: Residual
    """Can be pickled. (margins (rows, models · columns), codes (rows,), weights (rows, models) or
    None for 1, losses (models,) float64, which is added to, the models' folds) → ∂loss/∂margin, in
    the dtype of the margins, which may be overwritten."""
    l1_factor: Callable[[int | None], float] = lambda fold: 1.0
    """A model's fold → factor of the L1 norm where the penalty is on raw weights."""


def fit(rows: Rows, tasks: Sequence[Task], options: Options, loss: Loss) -> list[Fit]:
    """Fit all tasks to sealed and rescaled rows, in the same passes over them.

    Returns:
        Fits whose arrays are `coef` (columns, features) and `intercept` (columns,).

    Raises:
        PlanError: the optimizers' state alone would not fit in memory.
    """
    started = time.perf_counter()
    _check_memory(rows, tasks, options, loss)
    moments, counts, sums = block_moments(rows, options.folds, options.n_classes)
    weights = _row_weights(counts, tasks, options)
    # models of one feature set stand side by side, so that their columns are a slice
    order = sorted(range(len(tasks)), key=lambda i: (tasks[i].features.name, i))
    descents = {
        i: _descent(tasks[i], moments, rows, weights.per_class(tasks[i].fold), options, loss)
        for i in order
    }
    for descent in descents.values():
        descent.x = next(descent.optimizer)
    passes, budget = 0, _RankingBudget()
    while left := [descents[i] for i in order if descents[i].end is None]:
        active = budget.share(left)
        answers: Sequence[tuple[float, Floats] | None] = [None] * len(active)
        if budget.is_left and (passes < FEWEST_PASSES or not options.is_over()):
            if passes == 0 and sums is not None:
                answers = _at_start(active, sums, weights, loss)
            else:
                answers = _pass(rows, active, weights, options, loss)
        passes += 1
        for descent, answer in zip(active, answers, strict=True):
            try:
                descent.x = descent.optimizer.send(answer)
            except StopIteration as stop:
                descent.end, descent.seconds = stop.value, time.perf_counter() - started
    return [_fitted(descents[i], rows) for i in range(len(tasks))]


class _RankingBudget(Struct):
    """How much models that only rank may take of the work: a share of that of all others.

    They sit passes out that they have no share in, and end when the others have ended.
    """

    passes: int = 0  # of models that rank
    ranking: int = 0  # margins times features, so far
    others: int = 0
    is_left: bool = True

    def share(self, left: Sequence[_Descent]) -> list[_Descent]:
        """Return which models take part in the next pass; where no budget is left, which end."""
        ranking, others = ([d for d in left if d.task.ranks is ranks] for ranks in (True, False))
        work, of_others = (sum(d.n_columns * len(d.mean) for d in ds) for ds in (ranking, others))
        self.others += of_others
        pays = self.ranking + work <= RANKING_SHARE * self.others
        if pays or self.passes < RANKING_PASSES:
            self.passes, self.ranking = self.passes + 1, self.ranking + work
            return list(left)
        self.is_left = bool(others)
        return others or ranking


def _check_memory(rows: Rows, tasks: Sequence[Task], options: Options, loss: Loss) -> None:
    sizes = rows.layout.layer_sizes
    n_bytes = 8 * sum(
        loss.n_columns
        * (rows.layout.n_structured + sum(sizes[i] for i in task.features.layers))
        * (2 * MEMORY + 8 + LANES)  # pairs, point, direction, gradients, sums
        for task in tasks
    )
    if n_bytes > options.memory_bytes:
        raise PlanError(
            f"{len(tasks)} models need {n_bytes / 2**20:.0f} MiB for the optimizer's state and "
            f"training may use {options.memory_bytes / 2**20:.0f} MiB: train fewer layers, reg "
            "values or folds at a time, pool the features, or raise memory_limit"
        )


class _RowWeights(Struct, frozen=True):
    """vᵢ by a row's fold and class, and by the fold that a model leaves out."""

    table: Floats  # (folds, classes, 1 + folds); the last index is the model's, 0: leaves out none
    counts: Floats  # (folds, classes): training rows
    uniform: bool  # every weight is 1

    def per_class(self, fold: int | None) -> Floats:
        """Return the total weight of a model's training rows, by class (classes,)."""
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


def _descent(
    task: Task,
    moments: list[list[ColumnMoments]],
    rows: Rows,
    per_class: Floats,
    options: Options,
    loss: Loss,
) -> _Descent:
    """Return a task at its starting point: no weights, intercepts from `per_class` (classes,)."""
    of_blocks = [moments[-1 if task.fold is None else task.fold][b] for b in task.features.blocks]
    mean = np.concatenate([m.mean for m in of_blocks] or [np.zeros(0)])
    factor = np.concatenate([m.factor for m in of_blocks] or [np.zeros(0)])
    columns, l1_factor = loss.n_columns, 1.0
    shift = rows.shift(task.fold if task.features.structured else None)
    strength = np.ones(len(mean))
    # a mean of n losses is surer than one: measured, not derived
    noise = float(np.finfo(rows.dtype).eps) / 64
    if not options.standardize:  # penalty on raw weights w/σ; block 0's σ is of rescaled columns
        strength, l1_factor = factor.copy(), loss.l1_factor(task.fold)
        if task.features.structured:
            strength[: rows.layout.n_structured] *= rows.moments.factor
    l1 = np.zeros((columns, len(mean) + 1))
    l2 = np.zeros((columns, len(mean) + 1))
    l1[:, :-1] = task.reg * task.l1_ratio * strength * l1_factor
    l2[:, :-1] = task.reg * (1.0 - task.l1_ratio) * strength**2
    start = np.zeros((columns, len(mean) + 1))
    start[:, -1] = loss.start(per_class)
    iterations, tolerance = options.max_iterations, options.tolerance
    if task.ranks:
        iterations = min(iterations, RANKING_ITERATIONS)
        tolerance = max(tolerance, RANKING_TOLERANCE)
    penalty = Grouped(l1[0]) if task.ranks else Absolute(l1.ravel())
    optimizer = minimize(start.ravel(), penalty, l2.ravel(), iterations, tolerance, noise)
    return _Descent(task, mean, factor, shift, columns, l1[0, :-1], optimizer, start.ravel())


class _Stacked(Struct, frozen=True):
    """The weights of several models side by side, per block: one product serves them all."""

    bias: Array  # (all columns,)
    users: list[list[int]]  # [block]: the models that use it
    columns: list[slice | list[int]]  # [block]: where the columns of its users are
    coefs: list[Array]  # [block]: (values, columns of its users)

    @property
    def used(self) -> list[int]:
        """The blocks that have values and users."""
        return [b for b, coef in enumerate(self.coefs) if coef.size]

    def margins(self, chunk: Chunk) -> Array:
        """Return (rows, all columns)."""
        blocks = chunk.blocks
        result = np.empty((len(chunk), len(self.bias)), self.bias.dtype)
        result[:] = self.bias
        for b in self.used:
            result[:, self.columns[b]] += blocks[b] @ self.coefs[b]
        return result


def _stack(
    rows: Rows, raw: Sequence[tuple[Floats, Floats]], blocks: Sequence[Sequence[int]]
) -> _Stacked:
    """Stack models given as (weights (columns, features), intercepts (columns,)) and blocks."""
    widths, dtype = rows.layout.block_widths, rows.dtype
    k = len(raw[0][1])
    users: list[list[int]] = []
    columns: list[slice | list[int]] = []
    coefs: list[Array] = []
    for block, width in enumerate(widths):
        using = [i for i, model_blocks in enumerate(blocks) if block in model_blocks]
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


class _GradientSums(Struct):
    """Σ loss (models,), Σ r (columns,), and per block Σ r·x (columns, values); float64."""

    losses: Floats
    residuals: Floats
    products: list[Floats]


class _Gradients(Struct, frozen=True):
    """A pass that sums losses and gradients of several models at one point each."""

    stacked: _Stacked
    residual: Residual
    folds: Sequence[int | None]  # that each model leaves out
    weights: Array | None  # (folds, classes, models); None: all are 1
    n_folds: int

    def start(self) -> _GradientSums:
        products = [np.zeros((c.shape[1], c.shape[0])) for c in self.stacked.coefs]
        return _GradientSums(np.zeros(len(self.folds)), np.zeros(len(self.stacked.bias)), products)

    def add(self, total: _GradientSums, chunk: Chunk) -> None:
        blocks, stacked, weight = chunk.blocks, self.stacked, None
        if self.weights is not None:
            weight = self.weights[fold_of(chunk.unit, self.n_folds), chunk.code]
        margins = stacked.margins(chunk)
        residual = self.residual(margins, chunk.code, weight, total.losses, self.folds)
        total.residuals += residual.sum(axis=0, dtype=np.float64)
        for b in stacked.used:
            total.products[b] += residual[:, stacked.columns[b]].T @ blocks[b]

    def join(self, total: _GradientSums, other: _GradientSums) -> _GradientSums:
        total.losses += other.losses
        total.residuals += other.residuals
        for mine, theirs in zip(total.products, other.products, strict=True):
            mine += theirs
        return total


def _at_start(
    descents: Sequence[_Descent], sums: Sequence[Floats], weights: _RowWeights, loss: Loss
) -> list[tuple[float, Floats]]:
    """Return what `_pass` would where no model has weights: rows of a class have one residual.

    Args:
        descents: at their start.
        sums: [block] (folds, classes, values), of chunks' features.
        weights: of the rows.
        loss: of the models.
    """
    folds = [descent.task.fold for descent in descents]
    margins = np.concatenate([descent.raw(descent.x)[1] for descent in descents])[None]
    n_classes = weights.counts.shape[1]
    losses = np.zeros((n_classes, len(descents)))
    residuals = np.concatenate(
        [
            loss.residual(margins.copy(), np.array([code]), None, losses[code], folds)
            for code in range(n_classes)
        ]
    )  # (classes, all columns)
    answers = []
    for i, descent in enumerate(descents):
        table = weights.table[:, :, _column(descent.task.fold)]  # (folds, classes)
        per_class, k = weights.per_class(descent.task.fold), descent.n_columns
        residual, weight = residuals[:, k * i : k * (i + 1)], float(per_class.sum())
        products = [np.zeros((k, 0))]
        for b in descent.task.features.blocks:
            products.append(residual.T @ (table[:, :, None] * sums[b]).sum(axis=0))
        slope = descent.gradient(
            np.concatenate(products, axis=1) / weight, per_class @ residual / weight
        )
        answers.append((float(losses[:, i] @ per_class) / weight, slope))
    return answers


def _pass(
    rows: Rows,
    descents: Sequence[_Descent],
    weights: _RowWeights,
    options: Options,
    loss: Loss,
) -> list[tuple[float, Floats]]:
    """Return loss and gradient of every model at its point, from one pass over the rows."""
    raw = [descent.raw(descent.x) for descent in descents]
    stacked = _stack(rows, raw, [descent.task.features.blocks for descent in descents])
    folds = [descent.task.fold for descent in descents]
    table = None
    if not weights.uniform:
        table = weights.table[:, :, [_column(fold) for fold in folds]].astype(rows.dtype)
    total = rows.total(_Gradients(stacked, loss.residual, folds, table, options.folds))
    answers = []
    for i, descent in enumerate(descents):
        weight = float(weights.per_class(descent.task.fold).sum())
        k = descent.n_columns
        products = [np.zeros((k, 0))]
        for b in descent.task.features.blocks:
            start = k * stacked.users[b].index(i)
            products.append(total.products[b][start : start + k])
        residuals = total.residuals[k * i : k * (i + 1)]
        slope = descent.gradient(np.concatenate(products, axis=1) / weight, residuals / weight)
        answers.append((float(total.losses[i]) / weight, slope))
    return answers


class _Margins(Struct, frozen=True):
    """What several models say of a chunk: (rows, columns) of each."""

    stacked: _Stacked
    n_models: int

    def __call__(self, chunk: Chunk) -> list[Array]:
        return np.split(self.stacked.margins(chunk), self.n_models, axis=1)


def scoring(rows: Rows, fits: Sequence[Fit]) -> Callable[[Chunk], list[Array]]:
    """Return what gives the margins (rows, columns) of every model for a chunk of rows."""
    raw = []
    for fit in fits:
        coef, intercept = fit.arrays["coef"].copy(), fit.arrays["intercept"]
        if fit.task.features.structured:  # to the units of the chunks
            n, scale = rows.layout.n_structured, rows.moments.scale
            intercept = intercept + coef[:, :n] @ rows.moments.mean
            coef[:, :n] *= scale
        raw.append((coef, intercept))
    return _Margins(_stack(rows, raw, [fit.task.features.blocks for fit in fits]), len(fits))


def in_units(rows: Rows, task: Task, coef: Floats, intercept: Floats) -> dict[str, Array]:
    """Return a model's arrays in the user's units, from weights for rows as chunks have them.

    Args:
        rows: that it was fitted to.
        task: what was fitted.
        coef: (columns, features).
        intercept: (columns,).
    """
    if task.features.structured:
        moments = rows.moments
        n = len(moments.mean)
        coef[:, :n] *= moments.factor
        intercept = intercept - coef[:, :n] @ moments.mean
    return {"coef": coef, "intercept": intercept}


def _fitted(descent: _Descent, rows: Rows) -> Fit:
    """Return the model at the minimum, in the user's units."""
    end = descent.end
    if end is None:
        raise RuntimeError("a model was asked for before it was fitted")
    arrays = in_units(rows, descent.task, *descent.raw(end.x))
    if descent.task.ranks:
        arrays["relevance"] = _relevance(descent, end)
    return Fit(descent.task, arrays, end.iterations, end.converged, end.objective, descent.seconds)


def _relevance(descent: _Descent, end: Minimum) -> Floats:
    """Return ‖wⱼ‖₂ (features,) of standardized features; of those without weight, what they lack.

    What they lack is ‖gradient‖₂ - λ, not above 0: how much steeper the loss would have to be.
    """
    norms, slopes = (
        np.linalg.norm(x.reshape(descent.shape)[:, :-1], axis=0) for x in (end.x, end.gradient)
    )
    return np.asarray(np.where(norms > 0, norms, np.minimum(slopes - descent.threshold, 0.0)))


def margins(arrays: Arrays, x: Floats) -> Floats:
    """Return x (rows, features) float64 · coef + intercept."""
    return np.asarray(x @ arrays["coef"].T + arrays["intercept"], dtype=np.float64)


def sums_as_sql(arrays: Arrays, structured: Sequence[str], layers: Mapping[str, int]) -> list[str]:
    """Return an expression per column of margins: a weighted sum of features."""
    sums = []
    for coef, intercept in zip(arrays["coef"].tolist(), arrays["intercept"].tolist(), strict=True):
        terms, start = [double(intercept)], len(structured)
        terms += [
            f"{double(weight)} * CAST({value} AS DOUBLE)"
            for value, weight in zip(structured, coef, strict=False)  # the layers' weights follow
            if weight
        ]
        for value, size in layers.items():
            terms.append(_product_as_sql(f"CAST({value} AS DOUBLE[])", coef[start : start + size]))
            start += size
        sums.append(" + ".join(terms))
    return sums


def _product_as_sql(values: str, weights: Sequence[float]) -> str:
    """Return an expression: Σ weights · values, which picks values where most weights are 0."""
    there = [i for i, weight in enumerate(weights) if weight]
    if len(there) > len(weights) * DENSE:
        return f"list_dot_product({values}, {doubles(weights)})"
    if not there:
        return double(0.0)
    picked = f"list_select({values}, {[i + 1 for i in there]})"
    return f"list_dot_product({picked}, {doubles([weights[i] for i in there])})"


def margins_as_onnx(nodes: Nodes, arrays: Arrays, features: str) -> str:
    """Write `margins` as nodes of ONNX."""
    product = nodes.node("MatMul", [features, nodes.doubles(arrays["coef"].T)])
    return nodes.node("Add", [product, nodes.doubles(arrays["intercept"])])
