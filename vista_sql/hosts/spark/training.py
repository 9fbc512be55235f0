"""VISTA_TRAIN and VISTA_COMPARE where the rows are: a pass is a `mapInArrow` over kept records."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, functions
from pyspark.storagelevel import StorageLevel

from vista_sql import catalog
from vista_sql.fed_runs import FedKind
from vista_sql.hosts.spark.stages import quiet, sent
from vista_sql.kernels import PACKAGE
from vista_sql.runs import Seen
from vista_sql.train.encoded import Summary
from vista_sql.train.examples import Examples, Problem, Solution
from vista_sql.train.remote import Order
from vista_sql.train.spec import TrainSpec

if TYPE_CHECKING:  # with what it imports
    from vista_sql.train.training import TrainingRun

KINDS = f"{PACKAGE}.fed"

ENCODED = "hash bigint, key string, record binary, summary binary"

KEPT = StorageLevel.MEMORY_AND_DISK
"""Of a training's records: what memory cannot hold is written, and nothing is inferred again."""

FETCHES = 4
"""Messages' partitions where all records come here, one after another."""


class Kept:
    """The rows of one training, kept on the executors; `train.remote.There`."""

    def __init__(self, rows: DataFrame, slots: int, version: str, seen: Seen) -> None:
        """Take rows, of which nothing is computed yet.

        Args:
            rows: what is trained on.
            slots: the tasks that run at once: so many parts has a pass.
            version: of this package, which the executors need.
            seen: is added what the rows say of their images.
        """
        self._rows, self._slots, self._version, self._seen = rows, slots, version, seen
        self._frame: DataFrame | None = None
        self.bytes_received = self.bytes_fetched = 0

    @property
    def frame(self) -> DataFrame:
        """The records."""
        if self._frame is None:
            raise RuntimeError("the rows are not encoded")
        return self._frame

    def encoded(self, spec: TrainSpec) -> Iterator[Summary]:
        """Have all rows encoded and kept, and yield what is told of them."""
        function = sent(spec, "encode", "encode", self._version, "passes")
        with quiet():
            self._frame = self._rows.mapInArrow(function, ENCODED).persist(KEPT)
        told = self._frame.where("summary IS NOT NULL").select("summary")
        for message in self._received(told.collect()):
            summary, seen = pickle.loads(message)
            self._seen.add(seen)
            yield summary

    def answers(self, order: Order) -> Iterator[Any]:
        """Yield what each part that has rows answers to an order, in the parts' order."""
        name = type(order.summing or order.function).__name__.strip("_").lower()
        frame = self._ran(order, "answer", f"pass_{name}", "answer binary", self._slots)
        yield from map(pickle.loads, self._received(frame.collect()))

    def records(self) -> Iterator[bytes]:
        """Yield all records, some at a time."""
        frame = self._ran(None, "fetch", "fetch", "answer binary", FETCHES)
        for part in self._received(frame.toLocalIterator(prefetchPartitions=True)):
            self.bytes_fetched += len(part)
            yield part

    def keys(self, hashes: Sequence[int]) -> dict[int, str]:
        """Return row hash → key of those rows whose key is not NULL."""
        signed = np.array(hashes, np.uint64).view(np.int64).tolist()
        wanted = functions.col("hash").isin(signed) & functions.col("key").isNotNull()
        found = self.frame.where(wanted).select("hash", "key").collect()
        return {row.hash % 2**64: row.key for row in found}

    def fitted(self, examples: Examples, problem: Problem) -> Solution:
        """Fit a model with Spark's MLlib."""
        from vista_sql.hosts.spark import mllib  # takes a second to import

        columns = "features array<double>, label double, weight double"
        frame = self._ran(examples, "examples", "examples", columns, self._slots)
        return mllib.solve(frame, problem)

    def close(self) -> None:
        """Let go of the rows."""
        if self._frame is not None:
            self._frame.unpersist()
            self._frame = None

    def _ran(self, order: object, action: str, name: str, columns: str, parts: int) -> DataFrame:
        records = self.frame.where("record IS NOT NULL").select("record").coalesce(parts)
        with quiet():
            return records.mapInArrow(sent(order, action, name, self._version, "passes"), columns)

    def _received(self, rows: Any) -> Iterator[bytes]:
        for (message,) in rows:
            self.bytes_received += len(message)
            yield bytes(message)


def trained(order: str, rows: DataFrame, slots: int, version: str, seen: Seen) -> pa.Table | None:
    """Return the rows of a training, a row per model; None: it has to be fed rows here.

    Args:
        order: of `vista_begin`.
        rows: what is trained on.
        slots: the tasks that run at once.
        version: of this package.
        seen: is added what the rows say of their images.
    """
    fields = json.loads(order).get("train")
    if fields is None or fields["budget_seconds"]:
        return None
    kind = catalog.load(KINDS, "train", "KIND", FedKind)
    run, kept = cast("TrainingRun", kind.begin(fields)), Kept(rows, slots, version, seen)
    try:
        results = run.finish(run.take(kept))
    finally:
        run.close()
        kept.close()
    return pa.Table.from_pylist(list(results), pa.schema(list(kind.row_type)))
