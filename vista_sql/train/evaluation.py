"""Labelled rows, batch by batch → the metrics of a kept model."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vista_sql import models
from vista_sql.errors import ModelError
from vista_sql.fed_runs import DATA
from vista_sql.train.columns import is_structured, resolve
from vista_sql.train.metrics import METRICS, Gatherer, NumberGatherer
from vista_sql.train.rows import columns_of, fits, numbers, text_of
from vista_sql.train.scorer import Scorer
from vista_sql.train.spec import EvaluateSpec


class EvaluationRun:
    """One VISTA_EVALUATE: scores rows as they come, counts those without label or features."""

    gate, closed = "", False  # it reads all rows

    def __init__(self, spec: EvaluateSpec) -> None:
        self._model = models.find(spec.home, spec.model)
        self._scorer = Scorer(self._model)
        self._numbers = NumberGatherer(np.zeros(0)) if self._scorer.learns == "numbers" else None
        self._gatherer = Gatherer(len(self._model.classes))
        self._code = {text: i for i, text in enumerate(self._model.classes)}
        self._lock = threading.Lock()
        self._n_fed = self._n_skipped = 0

    def feed(self, rows: pa.Array | pa.ChunkedArray, relation: str = DATA) -> int:
        """Score a batch of rows, each a struct, and return the number of the first.

        Raises:
            ModelError: a label that the model does not know, or columns that it cannot read.
        """
        batch = columns_of(rows)
        name = resolve(self._model.label, batch, "label", "the data of VISTA_EVALUATE")
        if self._numbers is not None:
            return self._feed_numbers(batch, name, self._numbers)
        values = batch[name].to_pylist()
        codes = np.array(
            [-1 if v is None else self._code.get(text_of(v), -2) for v in values], np.int64
        )
        if (codes == -2).any():
            unknown = values[int(np.argmax(codes == -2))]
            raise ModelError(
                f"label {name!r} has the value {text_of(unknown)!r}, which model "
                f"{self._model.reference!r} does not know; it knows: "
                + ", ".join(self._model.classes[:20])
            )
        scored = self._scorer.score(batch)
        used = scored.usable & (codes >= 0)
        with self._lock:
            first = self._count(used)
            self._gatherer.add(codes[used], scored.margins[used])
        return first

    def _feed_numbers(
        self, batch: Mapping[str, pa.Array], name: str, gatherer: NumberGatherer
    ) -> int:
        kind = batch[name].type
        if not is_structured(kind) and not pa.types.is_null(kind):
            raise ModelError(
                f"label {name!r} has type {kind}, and model {self._model.reference!r} learned a "
                "number: cast it in the data"
            )
        nothing = np.full(len(batch[name]), np.nan)
        values = nothing if pa.types.is_null(kind) else numbers(batch[name])
        scored = self._scorer.score(batch)
        used = scored.usable & fits(values)
        with self._lock:
            first = self._count(used)
            gatherer.add_numbers(values[used], scored.margins[used])
        return first

    def _count(self, used: npt.NDArray[np.bool_]) -> int:
        """Count rows, of which some are used, and return the number of the first."""
        first = self._n_fed
        self._n_fed += len(used)
        self._n_skipped += int((~used).sum())
        return first

    def finish(self, fed: int | None) -> Sequence[Mapping[str, object]]:
        """Return one row: the metrics, n_test and n_skipped, of so many rows as were fed.

        Raises:
            ModelError: other than the rows that were fed came, or none that could be scored.
        """
        n_rows = fed or 0
        if n_rows != self._n_fed:
            raise ModelError(f"{n_rows} rows were sent to VISTA_EVALUATE and {self._n_fed} came")
        if n_rows == 0:
            raise ModelError("the data of VISTA_EVALUATE has no rows")
        if self._n_skipped == n_rows:
            raise ModelError(
                f"all {n_rows} rows of VISTA_EVALUATE lack the label {self._model.label!r} or a "
                "feature"
            )
        metrics = (self._numbers or self._gatherer).result()
        figures: dict[str, object] = {name: getattr(metrics, name) for name in METRICS}
        counts = {"n_test": metrics.n_rows, "n_skipped": self._n_skipped}
        return [{**figures, **counts, "model": self._model.reference}]

    def spool(self) -> None:
        """Change nothing: the scores, a few bytes a row, stay in memory."""

    def close(self) -> None:
        """Free nothing: all memory goes with this object."""
