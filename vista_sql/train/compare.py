"""Contenders and rows → fitted models, their figures on the rows left out, and who is best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from msgspec import Struct

from vista_sql import models
from vista_sql.models import ModelRow
from vista_sql.train import STRUCTURED, Arrays, Fit, Options, Task, Trainer, mistakes, selection
from vista_sql.train.chunks import Array, Chunk
from vista_sql.train.contenders import Contender
from vista_sql.train.hashing import fold_of
from vista_sql.train.metrics import Gatherer, Metrics, NumberGatherer, mean
from vista_sql.train.mistakes import Mistake
from vista_sql.train.passes import Rows
from vista_sql.train.race import right
from vista_sql.train.rows import RowReader
from vista_sql.train.spec import TrainSpec


class Tested(Struct, frozen=True):
    """A model of all training rows, and how well it did."""

    row: ModelRow
    arrays: Arrays
    hits: Array  # (test rows,) bool: was the row's class predicted? Rows in one order for all
    mistakes: list[Mistake]  # the worst
    surest: list[Mistake]  # of the hits


class _Figures(Struct, frozen=True):
    """How well a model does on rows that it was not fitted to."""

    metrics: Metrics
    f1_score_std: float | None  # over folds
    hits: Array
    mistakes: list[Mistake]
    surest: list[Mistake]


def fit_and_test(
    train_rows: Rows,
    test_rows: Rows,
    contenders: Sequence[Contender],
    spec: TrainSpec,
    options: Options,
    reader: RowReader,
) -> list[Tested]:
    """Return the fitted models, in the order of contenders; a trainer with a penalty has several.

    Args:
        train_rows: sealed and rescaled.
        test_rows: likewise, by the moments of `train_rows`; unused where there are folds.
        contenders: what to fit; neighbours of one trainer are fitted in the same passes.
        spec: the penalties.
        options: what is common to all models.
        reader: of the rows; names columns, counts what was skipped.
    """
    tested = []
    for trainer, group in groupby(contenders, key=lambda contender: contender.trainer):
        tasks = [
            Task(contender.features, reg, spec.l1_ratio if trainer.has_penalty else 0.0)
            for contender in group
            for reg in (spec.reg if trainer.has_penalty else (0.0,))
        ]
        for fit, figures in _fit_group(trainer, tasks, train_rows, test_rows, options):
            row = _row(trainer, fit, figures, spec, reader, train_rows)
            examples = figures.mistakes, figures.surest
            tested.append(Tested(row, fit.arrays, figures.hits, *examples))
    _compare([model.row for model in tested])
    return tested


def _fit_group(
    trainer: Trainer,
    tasks: Sequence[Task],
    train_rows: Rows,
    test_rows: Rows,
    options: Options,
) -> list[tuple[Fit, _Figures]]:
    """Fit tasks and their folds with one trainer, in the same passes; test each."""
    folds = options.folds
    of_folds = [
        Task(task.features, task.reg, task.l1_ratio, fold)
        for task in tasks
        for fold in range(folds)
    ]
    fits = selection.fit(trainer, train_rows, [*tasks, *of_folds], options)
    of_all_rows, left_out = fits[: len(tasks)], fits[len(tasks) :]
    if not left_out:
        return list(zip(of_all_rows, _test(trainer, of_all_rows, test_rows, options), strict=True))
    tested = _test(trainer, left_out, train_rows, options)
    figures = []
    for i in range(len(tasks)):
        parts = tested[i * folds : (i + 1) * folds]
        metrics, f1_score_std = mean([part.metrics for part in parts])
        hits = np.concatenate([part.hits for part in parts])
        wrong, surest = (
            mistakes.worst([one for part in parts for one in of_part(part)])
            for of_part in (attrgetter("mistakes"), attrgetter("surest"))
        )
        figures.append(_Figures(metrics, f1_score_std, hits, wrong, surest))
    return list(zip(of_all_rows, figures, strict=True))


class _LeftOut(Struct, frozen=True):
    """What models say of a chunk's rows that they were not fitted to: margins of each model's."""

    scoring: Callable[[Chunk], list[Array]]
    folds: Sequence[int | None]  # that the models leave out
    n_folds: int

    def rows_of(self, unit: Array) -> list[Array]:
        """Return which rows each model is tested on (rows,) bool, by their places in [0, 1)."""
        fold = fold_of(unit, self.n_folds)
        return [np.full(len(fold), True) if k is None else fold == k for k in self.folds]

    def __call__(self, chunk: Chunk) -> list[Array]:
        margins = self.scoring(chunk)
        return [z[rows] for z, rows in zip(margins, self.rows_of(chunk.unit), strict=True)]


def _test(trainer: Trainer, fits: Sequence[Fit], rows: Rows, options: Options) -> list[_Figures]:
    """Test each model on the rows of its fold, or on all rows where it has none."""
    if trainer.learns == "numbers":
        return _test_numbers(trainer, fits, rows, options)
    gatherers = [Gatherer(options.n_classes) for _ in fits]
    hits: list[list[Array]] = [[np.zeros(0, bool)] for _ in fits]
    order: list[list[Array]] = [[np.zeros(0, np.uint64)] for _ in fits]
    wrong: list[list[Mistake]] = [[] for _ in fits]
    surest: list[list[Mistake]] = [[] for _ in fits]
    for i, hashes, codes, z in _left_out(trainer, fits, rows, options):
        gatherers[i].add(codes, z)
        hits[i].append(right(codes, z))
        order[i].append(hashes.copy())
        wrong[i] = mistakes.worst([*wrong[i], *mistakes.found(hashes, codes, z)])
        surest[i] = mistakes.worst([*surest[i], *mistakes.found(hashes, codes, z, hits=True)])
    return [
        _Figures(gatherer.result(), None, _by(np.concatenate(h), hit), worst, sure)
        for gatherer, h, hit, worst, sure in zip(gatherers, order, hits, wrong, surest, strict=True)
    ]


def _by(hashes: Array, parts: Sequence[Array]) -> Array:
    """Return the rows of parts in the order of their hashes (rows,): models' are compared."""
    return np.asarray(np.concatenate(parts)[np.argsort(hashes, kind="stable")])


def _test_numbers(
    trainer: Trainer, fits: Sequence[Fit], rows: Rows, options: Options
) -> list[_Figures]:
    parts: list[list[tuple[Array, Array, Array]]] = [[] for _ in fits]
    for i, *part in _left_out(trainer, fits, rows, options):
        hashes, codes, z = part
        parts[i].append((hashes.copy(), codes.copy(), z))
    figures = []
    for of_fit in parts:
        gatherer = NumberGatherer(options.values)
        if of_fit:
            hashes, codes, z = (np.concatenate(part) for part in zip(*of_fit, strict=True))
            order = np.argsort(hashes, kind="stable")  # the first are kept as points
            gatherer.add(codes[order], z[order])
        figures.append(_Figures(gatherer.result(), None, np.zeros(0, bool), [], []))
    return figures


def _left_out(
    trainer: Trainer, fits: Sequence[Fit], rows: Rows, options: Options
) -> Iterator[tuple[int, Array, Array, Array]]:
    """Yield a fit's place, and hashes, codes and margins of rows that it was not fitted to."""
    tested = _LeftOut(trainer.scoring(rows, fits), [fit.task.fold for fit in fits], options.folds)
    for chunk, margins in rows.mapped(tested):
        for i, (z, of_fit) in enumerate(zip(margins, tested.rows_of(chunk.unit), strict=True)):
            yield i, chunk.hash[of_fit], chunk.code[of_fit], z


def _row(
    trainer: Trainer,
    fit: Fit,
    figures: _Figures,
    spec: TrainSpec,
    reader: RowReader,
    train_rows: Rows,
) -> ModelRow:
    features, columns, metrics = fit.task.features, reader.columns, figures.metrics
    layers = [columns.layers[i] for i in features.layers]
    structured, encoding = list(columns.structured) if features.structured else [], None
    fill, levels = None, {}
    if structured:
        encoding = train_rows.encoding
        fill = None if encoding.fill is None else encoding.fill.tolist()
        of_texts = zip(columns.texts, encoding.levels, strict=True)
        levels = {name: list(of_text.names) for name, of_text in of_texts}
    several = trainer.has_penalty and len(spec.reg) > 1
    n_values = sum(reader.sizes[name] for name in layers)
    if features.n_kept is not None:
        n_values = features.n_kept
    return {
        "part": f"{features.part}:{fit.task.reg:g}" if several else features.part,
        "trainer": trainer.name,
        "feature_set": features.name,
        "layer": features.layer,
        "structured": structured,
        "layers": [(name, reader.sizes[name]) for name in layers],
        "fill": fill,
        "levels": levels,
        "n_train": train_rows.n_rows,
        "n_test": metrics.n_rows,
        "n_skipped": sum(reader.skipped.values()),
        "dims": (encoding.width if encoding else 0) + n_values,
        "reg": fit.task.reg if trainer.has_penalty else None,
        "l1_ratio": fit.task.l1_ratio if trainer.has_penalty else None,
        "fraction": features.fraction,
        "iterations": fit.iterations,
        "converged": fit.converged,
        "objective": fit.objective,
        "accuracy": metrics.accuracy,
        "precision": metrics.precision,
        "recall": metrics.recall,
        "f1_score": metrics.f1_score,
        "f1_score_std": figures.f1_score_std,
        "roc_auc": metrics.roc_auc,
        "log_loss": metrics.log_loss,
        "r2": metrics.r2,
        "mae": metrics.mae,
        "rmse": metrics.rmse,
        "roc": metrics.roc,
        "confusion": metrics.confusion,
        "points": metrics.points,
        "seconds": fit.seconds,
    }


def _compare(rows: Sequence[ModelRow]) -> None:
    """Add `lift` over the structured-only row (of the same reg) and `is_best`."""
    alone = [row for row in rows if row["feature_set"] == STRUCTURED]
    tested = [row for row in rows if models.is_tested(row)]
    best = max(tested, key=models.rank) if tested else None
    for row in rows:
        same_reg = [base for base in alone if base["reg"] == row["reg"]] or alone
        base = max(same_reg, key=models.rank)["f1_score"] if same_reg else None
        f1 = row["f1_score"]
        row["lift"] = None if f1 is None or base is None else f1 - base
        row["is_best"] = row is best


def result_rows(document: Mapping[str, Any]) -> list[Mapping[str, object]]:
    """Return the rows that VISTA_TRAIN shows: a version's, each with the name of its `model`.

    Args:
        document: what model.json holds, or would hold; without `version` the models have no name.
    """
    version = document.get("version")
    rows: list[Mapping[str, object]] = []
    for row in document["rows"]:
        name = f"{document['name']}/{row['part']}@{version}" if version is not None else None
        rows.append({**row, "model": name})
    return rows
