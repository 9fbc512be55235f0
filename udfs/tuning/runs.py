"""All runs of a VISTA_FINETUNE, one after the other: epochs, early stop, the best of all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from msgspec import Struct

from vista_sql.kernels import InferSpec
from vista_sql.models import Model
from vista_sql.train.metrics import Gatherer, Metrics, probabilities
from vista_sql.train.tuning import PATIENCE, FinetuneSpec, Run

from ..network.engines.tensorflow.process import on_thread
from ..network.engines.tensorflow.trainable import Batch, Head, Trainable, Weights
from ..passes.runtime import Runtime
from .heads import arrays_of, empty_head, head_of
from .keeping import Keeper, Kept
from .networks import OpenNetwork
from .rows import Examples, Split

SCALED_BY = 1024
"""Training rows, the first by hash, whose features say how long a row of them is."""


class Figures(Struct, frozen=True):
    """How well a head does on some rows."""

    loss: float | None  # mean log-loss, a row counting what it counts in training; None: no rows
    metrics: Metrics

    @property
    def shown(self) -> dict[str, object]:
        """The columns of a result row."""
        found = self.metrics
        return {
            "loss": self.loss,
            "f1_score": found.f1_score,
            "accuracy": found.accuracy,
            "precision": found.precision,
            "recall": found.recall,
            "roc_auc": found.roc_auc,
            "n": found.n_rows,
        }


class Best(Struct, frozen=True):
    """The best epoch so far."""

    run: int
    epoch: int
    loss: float
    weights: Weights
    head: Head
    trainable: Trainable
    is_regression: bool  # nothing has changed yet


class Runs:
    """The runs of a call, on the rows that it was fed."""

    def __init__(
        self, runtime: Runtime, infer: InferSpec, spec: FinetuneSpec, model: Model, split: Split
    ) -> None:
        """Load the network anew, so that nobody else's weights change.

        Args:
            runtime: of the process.
            infer: the network.
            spec: the runs.
            model: the regression that they begin from.
            split: the rows.
        """
        self._runtime, self._spec, self._model, self._split = runtime, spec, model, split
        self._starts = list(spec.maps)
        self._network = OpenNetwork(runtime, infer, spec)
        self._keeper = Keeper(spec, self._network, model, split)
        self._arrays = model.arrays()
        self._weights = self._class_weights()
        self._rows: list[dict[str, object]] = []
        self._best: Best | None = None
        self._heads: dict[str, Head] = {}

    def all(self) -> Sequence[Mapping[str, object]]:
        """Tune, keep the best network and head, and return the rows.

        What ends it early, Ctrl-C too, leaves the best epoch until then.
        """
        before: Figures | None = None
        try:
            for number, run in enumerate(self._spec.runs, 1):
                trainable = self._network.trainable(run)
                if before is None:
                    self._begin(trainable, run, self._regression(trainable, run), reset=False)
                    before = self._scored(trainable, self._split.test(self._place(run)))
                self._add(number, run, "before", 0, before, lift=self._lift(before))
                try:
                    self._tune(number, run, trainable)
                finally:
                    self._on(trainable.leave)
        except BaseException:
            if self._best is not None and not self._best.is_regression:
                self._keep(self._best)
            raise
        assert self._best is not None  # noqa: S101  (there is a run, and it has an epoch 0)
        for row in self._rows:
            own = row["run"] == self._best.run
            row["is_kept"] = own and row["kind"] != "before" and row["epoch"] == self._best.epoch
        kept = self._keep(self._best)
        for row in self._rows:
            row["model"] = kept.reference if row["is_kept"] else None
        return self._rows

    def _tune(self, number: int, run: Run, trainable: Trainable) -> None:
        """Take one run's epochs, and add its rows."""
        place, random = self._place(run), np.random.default_rng(run.seed)
        validation = self._split.validation(place)
        head = self._regression(trainable, run)
        if run.reset:
            counts = self._split.counts(len(self._model.classes)) * self._weights
            head = empty_head(len(head.layer), self._split.moments, counts, head.scale)
        self._begin(trainable, run, head, reset=bool(run.reset))
        best: Best | None = None
        warning = None
        for epoch in range(self._spec.epochs + 1):
            began = time.perf_counter()
            training_loss = None
            if epoch:
                training_loss = self._pass(trainable, self._split.training(place), random)
            figures = self._scored(trainable, validation)
            seconds = time.perf_counter() - began
            self._add(number, run, "epoch", epoch, figures, training_loss, seconds=seconds)
            if figures.loss is None or not np.isfinite(figures.loss):
                warning = f"it diverged in epoch {epoch}: take smaller learning rates"
                break
            if best is None or figures.loss < best.loss:
                best = self._noted(number, epoch, figures.loss, trainable, run)
            elif epoch - best.epoch >= PATIENCE:
                break
        assert best is not None  # noqa: S101  (an untuned network has a finite loss)
        self._on(partial(trainable.restore, best.weights))
        if best.epoch == 0 and warning is None:
            warning = "no epoch was better on the validation rows than the regression"
        after = self._scored(trainable, self._split.test(place))
        if after.loss is None:
            warning = "; ".join(filter(None, [self._untested, warning]))
        self._add(number, run, "after", best.epoch, after, lift=self._lift(after), warning=warning)
        if self._best is None or best.loss < self._best.loss:
            self._best = best

    def _noted(self, number: int, epoch: int, loss: float, trainable: Trainable, run: Run) -> Best:
        """Return an epoch that is its run's best, and keep it now and then if it is so of all."""
        weights, head = self._on(lambda: (trainable.weights, trainable.head()))
        best = Best(number, epoch, loss, weights, head, trainable, not epoch and not run.reset)
        if self._best is None or loss < self._best.loss:
            self._best = best
            if epoch and self._keeper.is_due():
                self._keep(best)
        return best

    def _keep(self, best: Best) -> Kept:
        self._on(partial(best.trainable.restore, best.weights))
        test = self._split.test(self._place(self._spec.runs[best.run - 1]))
        figures = self._scored(best.trainable, test)
        arrays = arrays_of(best.head, self._split.moments)
        if best.is_regression:
            arrays = self._arrays
        return self._keeper.keep(
            arrays,
            figures.metrics,
            epoch=best.epoch,
            loss=best.loss,
            lift=self._lift(figures),
            rows=self._rows,
        )

    def _begin(self, trainable: Trainable, run: Run, head: Head, *, reset: bool) -> None:
        initial = self._network.reset_values(trainable, run) if reset else None
        rates = run.learning_rate, run.inner_learning_rate
        self._on(partial(trainable.begin, head, *rates, self._spec.augment, run.seed, initial))

    def _regression(self, trainable: Trainable, run: Run) -> Head:
        """Return the head that is the regression, its features scaled to rows of length 1."""
        if run.start not in self._heads:
            squares, n = 0.0, 0
            size = self._spec.batch_size
            for batch in self._split.training(self._place(run)).batches(size, None):
                part = self._on(partial(trainable.features, batch.layers[0]))
                squares += float(np.square(part, dtype=np.float64).sum())
                n += len(part)
                if n >= SCALED_BY:
                    break
            scale = float(np.sqrt(squares / n)) or 1.0
            self._heads[run.start] = head_of(self._arrays, self._split.moments, scale)
        return self._heads[run.start]

    def _pass(
        self, trainable: Trainable, examples: Examples, random: np.random.Generator
    ) -> float | None:
        """Take an epoch's steps; return the mean loss of its rows, each before its own step."""
        total, counted = 0.0, 0.0
        for batch in examples.batches(self._spec.batch_size, random):
            weight = self._weights[batch.code].astype(np.float32)
            given = Batch(batch.layers[0], batch.structured, batch.code, weight)
            total += self._on(partial(trainable.step, given)) * float(weight.sum())
            counted += float(weight.sum())
        return total / counted if counted else None

    def _scored(self, trainable: Trainable, examples: Examples) -> Figures:
        gatherer = Gatherer(len(self._model.classes))
        total, counted = 0.0, 0.0
        for batch in examples.batches(self._spec.batch_size, None):
            call = partial(trainable.margins, batch.layers[0], batch.structured)
            margins = self._on(call).astype(np.float64)
            if not np.isfinite(margins).all():
                return Figures(np.inf, Metrics(0))
            weight = self._weights[batch.code]
            chances = probabilities(margins)[np.arange(len(batch)), batch.code]
            total -= float((weight * np.log(np.maximum(chances, np.finfo(float).tiny))).sum())
            counted += float(weight.sum())
            gatherer.add(batch.code, margins)
        return Figures(total / counted if counted else None, gatherer.result())

    def _on(self, call: Any) -> Any:
        with self._runtime.inference:
            return on_thread(call)

    @property
    def _untested(self) -> str:
        """What is to be said where no row tests."""
        folds = self._model.document["options"].get("folds")
        why = "the regression was trained with folds, which" if folds else "the regression's split"
        return (
            f"no row tests, so there are no figures of kind 'before' and 'after': {why} leaves "
            "none aside; train it with test_fraction"
        )

    def _place(self, run: Run) -> int:
        return self._starts.index(run.start)

    def _class_weights(self) -> np.ndarray:
        """Return what a row of each class counts (classes,): 1, or as the regression balanced."""
        n_classes = len(self._model.classes)
        if self._model.document["options"].get("class_weight") != "balanced":
            return np.ones(n_classes)
        counts = self._split.counts(n_classes)
        return np.asarray(counts.sum() / (n_classes * np.maximum(counts, 1)))

    def _lift(self, figures: Figures) -> float | None:
        """Return by how much an f1_score is above that of the structured columns alone."""
        row = self._model.row
        own = figures.metrics.f1_score
        was, lift = row["f1_score"], row.get("lift")
        return None if own is None or was is None or lift is None else own - (was - lift)

    def _add(
        self,
        number: int,
        run: Run,
        kind: str,
        epoch: int,
        figures: Figures,
        training_loss: float | None = None,
        lift: float | None = None,
        warning: str | None = None,
        seconds: float | None = None,
    ) -> None:
        self._rows.append(
            {
                "run": number,
                "kind": kind,
                "epoch": epoch,
                **figures.shown,
                "training_loss": training_loss,
                "unfrozen": run.shown(run.unfrozen),
                "reset": run.shown(run.reset),
                "learning_rate": run.learning_rate,
                "inner_learning_rate": run.inner_learning_rate,
                "seed": run.seed,
                "warning": warning,
                "lift": lift,
                "seconds": seconds,
                "is_kept": False,
            }
        )
