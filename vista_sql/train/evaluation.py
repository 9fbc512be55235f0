"""Metrics of a kept model over labelled rows, streamed."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pyarrow as pa

from vista_sql import models
from vista_sql.errors import ModelError
from vista_sql.train.columns import resolve
from vista_sql.train.metrics import METRICS, Gatherer
from vista_sql.train.rows import columns_of, text_of
from vista_sql.train.scorer import Scorer
from vista_sql.train.spec import EvaluateSpec


class EvaluationRun:
    """Scores rows as they come; those without label or features are skipped and counted."""

    def __init__(self, spec: EvaluateSpec) -> None:
        self._model = models.find(spec.home, spec.model)
        self._scorer = Scorer(self._model)
        self._gatherer = Gatherer(len(self._model.classes))
        self._code = {text: i for i, text in enumerate(self._model.classes)}
        self._lock = threading.Lock()
        self._n_fed = self._n_skipped = 0

    def feed(self, rows: pa.Array | pa.ChunkedArray) -> None:
        """Take a batch."""
        batch = columns_of(rows)
        name = resolve(self._model.label, batch, "label", "the data of VISTA_EVALUATE")
        values = batch[name].to_pylist()
        codes = np.array(
            [-1 if v is None else self._code.get(text_of(v), -2) for v in values], np.int64
        )
        if (codes == -2).any():
            strange = values[int(np.argmax(codes == -2))]
            raise ModelError(
                f"label {name!r} has the value {text_of(strange)!r}, which model "
                f"{self._model.reference!r} does not know; it knows: "
                + ", ".join(self._model.classes[:20])
            )
        scored = self._scorer.score(batch)
        used = scored.usable & (codes >= 0)
        with self._lock:
            self._n_fed += len(values)
            self._n_skipped += int((~used).sum())
            self._gatherer.add(codes[used], scored.margins[used])

    def finish(self, n_rows: int) -> list[dict[str, Any]]:
        """Return one row: the metrics, n_test and n_skipped."""
        if n_rows != self._n_fed:
            raise ModelError(f"{n_rows} rows were sent to VISTA_EVALUATE and {self._n_fed} came")
        if n_rows == 0:
            raise ModelError("the data of VISTA_EVALUATE has no rows")
        if self._n_skipped == n_rows:
            raise ModelError(
                f"all {n_rows} rows of VISTA_EVALUATE lack the label {self._model.label!r} or a "
                "feature"
            )
        found = self._gatherer.result()
        row: dict[str, Any] = {name: getattr(found, name) for name in METRICS}
        return [
            {
                **row,
                "model": self._model.reference,
                "n_test": found.n_rows,
                "n_skipped": self._n_skipped,
            }
        ]

    def spool(self) -> None:
        """Keep the scores: they are all there is."""

    def close(self) -> None:
        """Nothing is held outside this object."""
