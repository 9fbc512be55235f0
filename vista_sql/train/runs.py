"""Trainings and evaluations under way, by the id that vista_begin returned.

A run is begun, fed by several threads, and finished once; a runtime has one `Trainings`.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from vista_sql.errors import ModelError
from vista_sql.train.evaluation import EvaluationRun
from vista_sql.train.spec import EvaluateSpec, from_text
from vista_sql.train.training import TrainingRun

IDLE_SECONDS = 3600.0  # a run that is fed nothing for so long was abandoned (a failed statement)
SPOOL_AFTER_SECONDS = 60.0  # such a run gives its memory to the next one
MAX_RUNS = 64

FIELDS = (
    ("model", "VARCHAR", pa.string()),
    ("feature_set", "VARCHAR", pa.string()),
    ("layer", "VARCHAR", pa.string()),
    ("n_train", "BIGINT", pa.int64()),
    ("n_test", "BIGINT", pa.int64()),
    ("n_skipped", "BIGINT", pa.int64()),
    ("dims", "INTEGER", pa.int32()),
    ("reg", "DOUBLE", pa.float64()),
    ("l1_ratio", "DOUBLE", pa.float64()),
    ("fraction", "DOUBLE", pa.float64()),
    ("iterations", "INTEGER", pa.int32()),
    ("converged", "BOOLEAN", pa.bool_()),
    ("accuracy", "DOUBLE", pa.float64()),
    ("precision", "DOUBLE", pa.float64()),
    ("recall", "DOUBLE", pa.float64()),
    ("f1_score", "DOUBLE", pa.float64()),
    ("f1_score_std", "DOUBLE", pa.float64()),
    ("roc_auc", "DOUBLE", pa.float64()),
    ("log_loss", "DOUBLE", pa.float64()),
    ("r2", "DOUBLE", pa.float64()),
    ("mae", "DOUBLE", pa.float64()),
    ("rmse", "DOUBLE", pa.float64()),
    ("lift", "DOUBLE", pa.float64()),
    ("seconds", "DOUBLE", pa.float64()),
    ("is_best", "BOOLEAN", pa.bool_()),
    ("confidence", "DOUBLE", pa.float64()),
    ("warning", "VARCHAR", pa.string()),
)
"""Columns of VISTA_TRAIN's result, in their order: name, SQL type, Arrow type."""

ARROW_TYPE = pa.list_(pa.struct([(name, kind) for name, _, kind in FIELDS]))
SQL_TYPE = "STRUCT(" + ", ".join(f'"{name}" {kind}' for name, kind, _ in FIELDS) + ")[]"


class FedRun(Protocol):
    """A training or an evaluation, which is fed rows and then finished."""

    def feed(self, rows: pa.Array | pa.ChunkedArray) -> None:
        """Take a batch of rows, each a struct; called from several threads."""

    def finish(self, n_rows: int) -> Sequence[Mapping[str, object]]:
        """End the run and return its result rows; `n_rows` is what the engine says it fed."""

    def spool(self) -> None:
        """Move rows out of memory."""

    def close(self) -> None:
        """Free memory and disk; safe to call twice."""


@dataclass(slots=True)
class _LiveRun:
    run: FedRun
    statement: str  # the statement's run
    fed_at: float  # time.monotonic()


class Trainings:
    """The trainings and evaluations that are under way in this process."""

    def __init__(self) -> None:
        self._runs: dict[str, _LiveRun] = {}
        self._failed: OrderedDict[str, BaseException] = OrderedDict()
        self._lock = threading.Lock()
        self._finishing = threading.Lock()  # one at a time: each uses all cores and its memory

    def __len__(self) -> int:
        with self._lock:
            return len(self._runs)

    def begin(self, text: str) -> str:
        """Start the run that a spec orders and return its id."""
        spec = from_text(text)
        run: FedRun = EvaluationRun(spec) if isinstance(spec, EvaluateSpec) else TrainingRun(spec)
        self._drop_abandoned()
        name = uuid.uuid4().hex
        with self._lock:
            self._runs[name] = _LiveRun(run, spec.run, time.monotonic())
        return name

    def feed(self, name: str, rows: pa.Array | pa.ChunkedArray) -> None:
        """Give a batch of rows to a run; a run that cannot use them is ended."""
        with self._lock:
            run = self._find(name)
            self._runs[name].fed_at = time.monotonic()
        try:
            run.feed(rows)
        except BaseException as error:
            with self._lock:
                self._failed[name] = error
                while len(self._failed) > MAX_RUNS:
                    self._failed.popitem(last=False)
            self.drop(name)
            raise

    def finish(self, name: str, n_rows: int) -> Sequence[Mapping[str, object]]:
        """End a run and return its result rows."""
        with self._lock:
            run = self._find(name)
            del self._runs[name]
        try:
            with self._finishing:
                return run.finish(n_rows)
        finally:
            run.close()

    def drop(self, name: str) -> None:
        """End a run without a result."""
        with self._lock:
            live = self._runs.pop(name, None)
        if live is not None:
            live.run.close()

    def close(self) -> None:
        """End all runs."""
        for name in list(self._runs):
            self.drop(name)

    def _find(self, name: str) -> FedRun:
        if name in self._failed:  # in another thread: all of them tell the same
            raise self._failed[name]
        if name not in self._runs:
            raise ModelError(
                "this training has already ended or failed: run the statement again, and use "
                "VISTA_TRAIN in FROM, not beside rows of another table"
            )
        return self._runs[name].run

    def statement(self, name: str) -> str:
        """Return the run of the statement that began run `name`; "" where it has ended."""
        with self._lock:
            live = self._runs.get(name)
            return "" if live is None else live.statement

    def is_closed(self, gate: str) -> bool:
        """Return whether no training with this `gate` wants further images."""
        with self._lock:
            runs = [live.run for live in self._runs.values()]
        behind = [run for run in runs if isinstance(run, TrainingRun) and run.spec.gate == gate]
        return bool(behind) and all(run.closed for run in behind)

    def end(self, statement: str) -> None:
        """End the runs that a statement began and did not finish: it failed, or was left."""
        if not statement:
            return
        with self._lock:
            names = [name for name, live in self._runs.items() if live.statement == statement]
        for name in names:
            self.drop(name)

    def _drop_abandoned(self) -> None:
        """End old runs; where nobody calls `end`, a failed statement leaves its run behind."""
        now = time.monotonic()
        with self._lock:
            by_age = sorted(self._runs, key=lambda name: self._runs[name].fed_at)
            old = [name for name in by_age if now - self._runs[name].fed_at > IDLE_SECONDS]
            old += by_age[len(old) : max(len(old), len(by_age) + 1 - MAX_RUNS)]
            slow = [
                live.run for live in self._runs.values() if now - live.fed_at > SPOOL_AFTER_SECONDS
            ]
        for run in slow:
            run.spool()
        for name in old:
            self.drop(name)
