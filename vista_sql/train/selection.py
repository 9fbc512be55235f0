"""Some features of all layers: ranked by one model of them all, the best kept, trained again.

Head2Toe (Evci, Dumoulin, Larochelle and Mozer, ICML 2022, section 3): a linear model with a group
lasso sees the features of all layers; a feature's relevance is the L2 norm of its weights over the
classes; a fraction of the features is kept, and a new model is trained on them. The model that
ranks is fitted in the same passes as all others, to training rows only (with folds, to each fold's
own). The new ones are fitted to rows of the kept features alone: for several fractions the most
relevant lie in a block of their own, so that a larger fraction is a few more blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from msgspec.structs import replace

from vista_sql.train import Fit, Options, Task, Trainer
from vista_sql.train.chunks import Array
from vista_sql.train.passes import Rows

SPARE = 0.5  # of a training's memory: rows take the other half


def fit(trainer: Trainer, rows: Rows, tasks: Sequence[Task], options: Options) -> list[Fit]:
    """Return a fit per task, in order; those with a fraction are models of the layers they use.

    Args:
        trainer: fits them; one that `ranks`, where a task has a fraction.
        rows: sealed and rescaled.
        tasks: their feature sets with a fraction name all layers of which it is.
        options: what is common to all models.
    """
    plain = [task for task in tasks if task.features.fraction is None]
    selecting = [task for task in tasks if task.features.fraction is not None]
    fits = trainer.fit(rows, [*plain, *_rankings(selecting)], options)
    found = {id(task): fit for task, fit in zip(plain, fits, strict=False)}
    for ranking in fits[len(plain) :]:
        of_fold = [task for task in selecting if task.fold == ranking.task.fold]
        for task, fitted in zip(
            of_fold, _retrained(trainer, rows, ranking, of_fold, options), strict=True
        ):
            found[id(task)] = fitted
    return [found[id(task)] for task in tasks]


def _rankings(tasks: Sequence[Task]) -> list[Task]:
    """Return the models of all layers that rank, one per fold, of the weakest penalty."""
    reg = min((task.reg for task in tasks), default=0.0)
    folds = dict.fromkeys(task.fold for task in tasks)
    first = [next(task for task in tasks if task.fold == fold) for fold in folds]
    return [
        replace(task, features=replace(task.features, fraction=None), reg=reg, ranks=True)
        for task in first
    ]


def n_kept(fraction: float, n: int) -> int:
    """Return how many of n features a fraction is: the nearest number, one at least.

    >>> n_kept(0.01, 204), n_kept(0.01, 10)
    (2, 1)
    """
    return max(1, round(fraction * n))


def _retrained(
    trainer: Trainer, rows: Rows, ranking: Fit, tasks: Sequence[Task], options: Options
) -> list[Fit]:
    """Fit tasks of one fold to the features that `ranking` has at the top."""
    layers, sizes = ranking.task.features.layers, rows.layout.layer_sizes
    starts = np.cumsum([0, *sizes])
    places = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in layers])
    relevance = ranking.arrays["relevance"][-len(places) :]  # structured columns are before
    order = places[np.argsort(-relevance, kind="stable")]
    ends = [n_kept(task.features.fraction or 1.0, len(order)) for task in tasks]
    bounds = sorted({0, *ends})
    blocks = [np.sort(order[first:end]) for first, end in pairwise(bounds)]
    of_blocks = []
    for task, end in zip(tasks, ends, strict=True):
        prefix = tuple(range(bounds.index(end)))
        features = replace(task.features, name=f"{task.features.name} {end}", layers=prefix)
        of_blocks.append(replace(task, features=features))
    kept = rows.select(blocks, int(options.memory_bytes * SPARE))
    try:
        fits = trainer.fit(kept, of_blocks, options)
    finally:
        kept.close()
    fits = [replace(fitted, seconds=ranking.seconds + fitted.seconds) for fitted in fits]
    return [
        _spread(fitted, task, np.concatenate(blocks[: len(fitted.task.features.layers)]), starts)
        for fitted, task in zip(fits, tasks, strict=True)
    ]


def _spread(fit: Fit, task: Task, places: Array, starts: Array) -> Fit:
    """Return a model of some features as one of the whole layers that these are in.

    Args:
        fit: its weights are of the structured features, then of those at `places`.
        task: what was asked for.
        places: (features,) int64 among the values of all layers side by side.
        starts: (layers + 1,) where each layer's values begin.
    """
    owner = np.searchsorted(starts, places, side="right") - 1
    used = np.unique(owner)
    widths = np.diff(starts)[used]
    begins = np.cumsum([0, *widths])  # of the used layers, side by side
    coef = fit.arrays["coef"]
    n_structured = coef.shape[1] - len(places)
    whole = np.zeros((len(coef), n_structured + int(widths.sum())))
    whole[:, :n_structured] = coef[:, :n_structured]
    column = begins[np.searchsorted(used, owner)] + places - starts[owner]
    whole[:, n_structured + column] = coef[:, n_structured:]
    features = replace(task.features, layers=tuple(used.tolist()), n_kept=len(places))
    arrays = {**fit.arrays, "coef": whole}
    return replace(fit, task=replace(task, features=features), arrays=arrays)
