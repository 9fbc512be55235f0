"""Fit the models of one training, test them on the rows left out, and compare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from vista_sql import models, train
from vista_sql.errors import ModelError
from vista_sql.train import FeatureSet, Fit, Options, Task
from vista_sql.train.columns import Columns
from vista_sql.train.metrics import METRICS, Gatherer, Metrics, mean
from vista_sql.train.moments import fold_of
from vista_sql.train.race import right
from vista_sql.train.rows import Reader
from vista_sql.train.spec import TrainSpec
from vista_sql.train.training_rows import Array, Store


def feature_sets(columns: Columns, spec: TrainSpec) -> list[FeatureSet]:
    """Return the models that a training asks for, baselines first.

    Raises:
        ModelError: a baseline needs structured columns and there are none.
    """
    some = bool(columns.structured)
    layers = {i: name for i, name in enumerate(columns.layers) if name != spec.hog}
    baselines = spec.baselines
    if baselines is None:
        baselines = ("structured",) if some and layers else ()
    needing = [baseline for baseline in baselines if baseline != "hog"]
    if needing and not some:
        raise ModelError(
            f"baseline {needing[0]!r} needs structured columns, and the data has none: "
            "baselines => [] leaves it out"
        )
    sets = []
    if "structured" in baselines or not layers:
        sets.append(FeatureSet("structured", None, True, ()))
    if spec.hog is not None:
        name = "structured+hog" if some else "hog"
        sets.append(FeatureSet(name, spec.hog, some, (columns.layers.index(spec.hog),)))
    if "tree" in baselines:
        sets.append(FeatureSet("tree", None, True, (), trainer="tree"))
    if layers and spec.by_layer:
        for i, layer in layers.items():
            sets.append(FeatureSet(f"structured+{layer}" if some else layer, layer, some, (i,)))
    elif layers:
        sets.append(FeatureSet("all", None, some, tuple(layers)))
    return sets


def fit_and_test(
    train_store: Store,
    test_store: Store,
    sets: Sequence[FeatureSet],
    spec: TrainSpec,
    options: Options,
    reader: Reader,
) -> tuple[list[dict[str, Any]], list[Mapping[str, Array]], list[Array]]:
    """Return in one order: a row of facts and figures per kept model, its arrays, its hits.

    Hits are whether each test row's class was predicted, in the same order of rows for all models.
    """
    wanted = [
        Task(one, reg, spec.l1_ratio)
        for one in sets
        for reg in (spec.reg if one.trainer == "logistic" else (0.0,))
    ]
    fits: list[Fit] = []
    metrics: list[Metrics] = []
    spreads: list[float | None] = []
    hits: list[Array] = []
    for trainer, group in groupby(wanted, key=lambda task: task.features.trainer):
        own = list(group)
        kept, tested, spread, right = _fit_group(trainer, own, train_store, test_store, options)
        fits, metrics, spreads = fits + kept, metrics + tested, spreads + spread
        hits += right
    rows = [
        _row(fit, found, spread, spec, reader, train_store)
        for fit, found, spread in zip(fits, metrics, spreads, strict=True)
    ]
    _compare(rows)
    return rows, [fit.arrays for fit in fits], hits


def _fit_group(
    trainer_name: str, tasks: list[Task], rows: Store, test: Store, options: Options
) -> tuple[list[Fit], list[Metrics], list[float | None], list[Array]]:
    """Fit tasks and their folds with one trainer, in the same passes; test each."""
    trainer = train.load(trainer_name)
    folded = [
        Task(task.features, task.reg, task.l1_ratio, fold)
        for task in tasks
        for fold in range(options.folds)
    ]
    fits = trainer.fit(rows, [*tasks, *folded], options)
    kept, left_out = fits[: len(tasks)], fits[len(tasks) :]
    tested = left_out or kept
    gatherers = [Gatherer(options.n_classes) for _ in tested]
    hits: list[list[Array]] = [[np.zeros(0, bool)] for _ in tested]
    for chunk, margins in trainer.score(rows if left_out else test, tested):
        fold = fold_of(chunk.unit, options.folds)
        for fit, gatherer, hit, z in zip(tested, gatherers, hits, margins, strict=True):
            own = slice(None) if fit.task.fold is None else fold == fit.task.fold
            gatherer.add(chunk.code[own], z[own])
            hit.append(right(chunk.code[own], z[own]))
    found = [gatherer.result() for gatherer in gatherers]
    if not left_out:
        return kept, found, [None] * len(kept), [np.concatenate(hit) for hit in hits]
    k = options.folds
    whole = [
        np.concatenate([some for hit in hits[i * k : (i + 1) * k] for some in hit])
        for i in range(len(tasks))
    ]
    means = [mean(found[i * k : (i + 1) * k]) for i in range(len(tasks))]
    return kept, [m for m, _ in means], [spread for _, spread in means], whole


def _row(
    fit: Fit, found: Metrics, spread: float | None, spec: TrainSpec, reader: Reader, rows: Store
) -> dict[str, Any]:
    one, columns = fit.task.features, reader.columns
    layers = [columns.layers[i] for i in one.layers]
    structured = list(columns.structured) if one.structured else []
    linear = one.trainer == "logistic"
    several = linear and len(spec.reg) > 1
    return {
        "part": f"{one.part}:{fit.task.reg:g}" if several else one.part,
        "trainer": one.trainer,
        "feature_set": one.name,
        "layer": one.layer,
        "structured": structured,
        "layers": [[name, reader.sizes[name]] for name in layers],
        "n_train": rows.n_rows,
        "n_test": found.n_rows,
        "n_skipped": sum(reader.skipped.values()),
        "dims": len(structured) + sum(reader.sizes[name] for name in layers),
        "reg": fit.task.reg if linear else None,
        "l1_ratio": fit.task.l1_ratio if linear else None,
        "iterations": fit.iterations,
        "converged": fit.converged,
        "objective": fit.objective,
        **{name: getattr(found, name) for name in METRICS},
        "f1_score_std": spread,
        "roc": found.roc,
        "confusion": found.confusion,
        "seconds": fit.seconds,
    }


def _compare(rows: list[dict[str, Any]]) -> None:
    """Add `lift` over the structured-only row (of the same reg) and `is_best`."""
    alone = [row for row in rows if row["feature_set"] == "structured"]
    tested = [row for row in rows if row["f1_score"] is not None]
    best = max(tested, key=models.rank) if tested else None
    for row in rows:
        same = [base for base in alone if base["reg"] == row["reg"]] or alone
        base = max(same, key=models.rank) if same else None
        known = base is not None and row["f1_score"] is not None and base["f1_score"] is not None
        row["lift"] = row["f1_score"] - base["f1_score"] if base is not None and known else None
        row["is_best"] = row is best


def result_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that VISTA_TRAIN shows, from what the registry keeps."""
    version = document.get("version")
    rows = []
    for row in document["rows"]:
        name = f"{document['name']}/{row['part']}@{version}" if version is not None else None
        rows.append({**row, "model": name})
    return rows
