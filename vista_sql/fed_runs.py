"""Runs that take the rows of a relation, and return rows: trainings, searches for neighbours.

A run is begun, fed by several threads, and finished once: `vista_begin`, `vista_feed` and the
`vista_finish_…` of its kind. What kinds there are, and what each returns, is `udfs/fed/`, a file a
kind; a runtime has one `FedRuns`.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import pyarrow as pa
from msgspec import Struct

from vista_sql.errors import ModelError

IDLE_SECONDS = 3600.0  # a run that is fed nothing for so long was abandoned (a failed statement)
SPOOL_AFTER_SECONDS = 60.0  # such a run gives its memory to the next one
MAX_RUNS = 64

DATA = "data"
"""The relation that a run is fed, where it is fed one alone."""


Rows: TypeAlias = Sequence[Mapping[str, object]] | pa.StructArray
"""What a run returns."""


class FedRun(Protocol):
    """A run, which is fed rows and then finished."""

    @property
    def gate(self) -> str:
        """Under which kernels ask whether further images are wanted; "": they always are."""

    @property
    def closed(self) -> bool:
        """Whether no more rows are wanted."""

    def feed(self, rows: pa.Array | pa.ChunkedArray, relation: str = DATA) -> int:
        """Take a batch of rows, each a struct; called from several threads.

        Args:
            rows: the batch.
            relation: which relation they are of, where a run takes several.

        Returns:
            The number of the first row, the others' following: of a relation each row has its own,
            from 0 on.
        """

    def finish(self, fed: Any) -> Rows:
        """End the run and return its result rows.

        Args:
            fed: what the engine says that it fed, as the kind's `fed_type` has it; None: nothing.

        Returns:
            Mappings from field to value, or all of them as one struct array.
        """

    def spool(self) -> None:
        """Move rows out of memory."""

    def close(self) -> None:
        """Free memory and disk; safe to call twice."""


class FedKind(Struct, frozen=True):
    """A kind of run: how it begins, and what it returns."""

    begin: Callable[..., FedRun]  # from the fields of its order
    fields: tuple[tuple[str, str, pa.DataType], ...]  # of a result row: name, SQL and Arrow type
    fed_type: str = "BIGINT"  # the SQL type of what `finish` is told: how many rows were fed
    takes_runtime: bool = False  # `begin` is given the process's runtime first: it runs networks

    @property
    def row_type(self) -> pa.DataType:
        """A result row."""
        return pa.struct([(name, kind) for name, _, kind in self.fields])

    @property
    def sql_type(self) -> str:
        """A list of result rows, in SQL."""
        return "STRUCT(" + ", ".join(f'"{name}" {kind}' for name, kind, _ in self.fields) + ")[]"


class _LiveRun(Struct):
    run: FedRun
    statement: str  # the statement's run
    fed_at: float  # time.monotonic()


def order_of(kind: str, fields: Mapping[str, object]) -> str:
    """Return the text that orders a run: JSON with sorted keys.

    Args:
        kind: a file of `udfs/fed/`.
        fields: what its `begin` reads; `run` is the id of the statement's run.

    Example:
        >>> order_of("evaluate", {"model": "m/fc6@1", "home": "h", "run": ""})
        '{"evaluate":{"home":"h","model":"m/fc6@1","run":""}}'
    """
    return json.dumps({kind: fields}, sort_keys=True, separators=(",", ":"))


class FedRuns:
    """The runs that are under way in this process."""

    def __init__(self, kind: Callable[[str], FedKind]) -> None:
        """Begin with none.

        Args:
            kind: returns the kind of a name.
        """
        self._kind = kind
        self._runs: dict[str, _LiveRun] = {}
        self._failed: OrderedDict[str, BaseException] = OrderedDict()
        self._lock = threading.Lock()
        self._finishing = threading.Lock()  # one at a time: each uses all cores and its memory

    def __len__(self) -> int:
        with self._lock:
            return len(self._runs)

    def begin(self, order: str) -> str:
        """Start the run that `order_of` orders and return its id."""
        ((kind_name, fields),) = json.loads(order).items()
        kind, statement = self._kind(kind_name), fields.get("run", "")
        run = kind.begin(fields)
        self._drop_abandoned()
        name = uuid.uuid4().hex
        with self._lock:
            self._runs[name] = _LiveRun(run, statement, time.monotonic())
        return name

    def feed(self, name: str, rows: pa.Array | pa.ChunkedArray, relation: str = DATA) -> int:
        """Give a batch of rows to a run, and return its first row's number.

        A run that cannot use the rows is ended.
        """
        with self._lock:
            run = self._find(name).run
            self._runs[name].fed_at = time.monotonic()
        try:
            return run.feed(rows, relation)
        except BaseException as error:
            with self._lock:
                self._failed[name] = error
                while len(self._failed) > MAX_RUNS:
                    self._failed.popitem(last=False)
            self.drop(name)
            raise

    def finish(self, name: str, fed: Any) -> Rows:
        """End a run and return its result rows."""
        with self._lock:
            run = self._find(name).run
            del self._runs[name]
        try:
            with self._finishing:
                return run.finish(fed)
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

    def _find(self, name: str) -> _LiveRun:
        if name in self._failed:  # in another thread: all of them tell the same
            raise self._failed[name]
        if name not in self._runs:
            raise ModelError(
                "what this statement feeds has already ended or failed: run it again, and use "
                "VISTA_TRAIN and its like in FROM, not beside rows of another table"
            )
        return self._runs[name]

    def statement(self, name: str) -> str:
        """Return the run of the statement that began run `name`; "" where it has ended."""
        with self._lock:
            live = self._runs.get(name)
            return "" if live is None else live.statement

    def is_closed(self, gate: str) -> bool:
        """Return whether no run with this `gate` wants further images."""
        with self._lock:
            behind = [live.run for live in self._runs.values() if live.run.gate == gate]
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
