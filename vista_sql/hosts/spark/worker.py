"""On an executor: record batches of narrow rows in, the same with the kernels' results out.

A Python worker outlives its task: what its kernels share, the networks above all, is made once.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from vista_sql import catalog
from vista_sql.hosts.spark.types import as_spark_takes
from vista_sql.kernels import PACKAGE, Kernel, ProcessRuntime
from vista_sql.once import once

AT_ONCE = 2
"""Calls on their way: one is inferred while the next one's images are decoded."""


@dataclass(frozen=True, slots=True)
class CallOrder:
    """A kernel call as it is sent to the executors."""

    columns: tuple[str, ...]  # that it adds
    fields: tuple[str, ...]  # of the STRUCT that it returns, one a column; (): it returns none
    kernel: str
    spec: str
    inputs: tuple[tuple[str, bool], ...]  # column, is it cast to text?


@dataclass(frozen=True, slots=True)
class StageOrder:
    """What one stage does to its rows."""

    calls: tuple[CallOrder, ...]
    columns: tuple[str, ...]  # that leave it, in their order
    batch_rows: int  # most rows in one call


def apply(order: StageOrder, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a partition, in their order, with a column more for each call.

    Args:
        order: the stage.
        batches: as Spark hands them out.
    """
    runtime = _runtime(os.getpid())

    def called(rows: pa.RecordBatch) -> pa.RecordBatch:
        columns = dict(zip(rows.schema.names, rows.columns, strict=True))
        for call in order.calls:
            columns |= _called(call, columns, len(rows), runtime)
        return pa.RecordBatch.from_arrays([columns[name] for name in order.columns], order.columns)

    yield from _in_order(called, _cut(batches, order.batch_rows))


def _called(
    call: CallOrder, columns: dict[str, pa.Array], n_rows: int, runtime: ProcessRuntime
) -> dict[str, pa.Array]:
    """Return the columns that a call adds."""
    kernel = _kernels()[call.kernel]
    inputs = [_input(columns, *value) for value in call.inputs]
    result = kernel.function(runtime, pa.repeat(call.spec, n_rows), *inputs)
    if isinstance(result, pa.ChunkedArray):
        result = result.combine_chunks()
    values = [result.field(name) for name in call.fields] or [result]
    return dict(zip(call.columns, map(as_spark_takes, values), strict=True))


def _input(columns: dict[str, pa.Array], column: str, is_text: bool) -> pa.Array:
    value = columns[column]
    if not is_text or pa.types.is_string(value.type):
        return value
    try:
        return value.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([None if v is None else str(v) for v in value.to_pylist()], pa.string())


def _cut(batches: Iterable[pa.RecordBatch], most_rows: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, len(batch), most_rows):
            yield batch.slice(start, most_rows)


def _in_order(
    called: Callable[[pa.RecordBatch], pa.RecordBatch], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield what each batch becomes; a few are on their way at once."""
    with ThreadPoolExecutor(AT_ONCE, "vista_sql-stage") as threads:
        waiting: deque[Future[pa.RecordBatch]] = deque()
        for batch in batches:
            waiting.append(threads.submit(called, batch))
            if len(waiting) == AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@once
def _runtime(process_id: int) -> ProcessRuntime:
    del process_id  # threads and locks do not cross a fork
    runtime: ProcessRuntime = catalog.module(PACKAGE, "passes.runtime").Runtime()
    return runtime


@once
def _kernels() -> dict[str, Kernel]:
    return {
        kernel.name: kernel
        for name in catalog.names(PACKAGE)
        for kernel in catalog.load(PACKAGE, name, "KERNELS", tuple)
    }
