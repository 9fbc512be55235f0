"""On an executor: record batches of narrow rows in, the same with the kernels' results out.

A Python worker outlives its task: what its kernels share, the networks above all, is made once.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from msgspec import Struct
from pyarrow import compute

from vista_sql import catalog
from vista_sql.hosts.spark.types import as_spark_takes
from vista_sql.kernels import PACKAGE, Kernel, ProcessRuntime
from vista_sql.once import once
from vista_sql.units import format_bytes

AT_ONCE = 2
"""Calls on their way: one is inferred while the next one's images are decoded."""

SCORED_ROWS = 1024
"""Rows that a model scores at once."""


class CallOrder(Struct, frozen=True):
    """A kernel call as it is sent to the executors."""

    columns: tuple[str, ...]  # that it adds
    fields: tuple[str, ...]  # of the STRUCT that it returns, one a column; (): it returns none
    kernel: str
    spec: str
    inputs: tuple[tuple[str, bool], ...]  # column, is it cast to text?
    base: str = ""  # the column of raw maps at which rows start; "": there is none


class StageOrder(Struct, frozen=True):
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
    where = f"{order.batch_rows} rows in a call"

    def called(rows: pa.RecordBatch) -> pa.RecordBatch:
        columns = dict(zip(rows.schema.names, rows.columns, strict=True))
        for call in order.calls:
            columns |= _called(call, columns, len(rows), runtime)
        return pa.RecordBatch.from_arrays([columns[name] for name in order.columns], order.columns)

    with _enough_memory(where):
        yield from _in_order(called, _cut(batches, order.batch_rows))


class OutOfMemory(RuntimeError):
    """A worker found no memory; the driver adds what to change."""


NO_MEMORY = ("bad_alloc", "Unable to allocate", "Cannot allocate memory", "can't start new thread")
"""What libraries say, in errors of their own kinds, where the system gives no memory."""


@contextmanager
def _enough_memory(where: str) -> Iterator[None]:
    """Raise OutOfMemory, with the limit of this process, where a stage finds no memory."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, MemoryError) and not any(s in str(error) for s in NO_MEMORY):
            raise
        raise OutOfMemory(
            f"a Python worker of Spark ran out of its memory{_limit()}, {where}"
        ) from error


def _limit() -> str:
    """Return what spark.executor.pyspark.memory allows this process, in words."""
    if sys.platform == "win32":
        return ""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "" if limit == resource.RLIM_INFINITY else f" of {format_bytes(limit)}"


def _called(
    call: CallOrder, columns: dict[str, pa.Array], n_rows: int, runtime: ProcessRuntime
) -> dict[str, pa.Array]:
    """Return the columns that a call adds."""
    kernel = kernels()[call.kernel]
    inputs = [_input(columns, *value) for value in call.inputs]
    base = {"base": columns[call.base]} if call.base else {}
    result = kernel.function(runtime, pa.repeat(call.spec, n_rows), *inputs, **base)
    if isinstance(result, pa.ChunkedArray):
        result = result.combine_chunks()
    values = [result.field(name) for name in call.fields] or [result]
    return dict(zip(call.columns, map(_told, map(as_spark_takes, values)), strict=True))


ABSENT = ": no such file"
"""The end of what is said of a path that is not there."""


def _told(column: pa.Array) -> pa.Array:
    """Return a column; what it says of a file that is absent names the machine that looked."""
    if not pa.types.is_string(column.type):
        return column
    there = rf"\0 on the executor {socket.gethostname()}"
    return compute.replace_substring_regex(column, f"{ABSENT}$", there)


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


class ScoreOrder(Struct, frozen=True):
    """A kept model that scores rows: it travels with the stage, whatever folders executors see."""

    name: str
    version: int
    reference: str
    files: tuple[tuple[str, bytes], ...]  # of its folder
    kept: tuple[str, ...]  # columns that leave the stage as they are
    added: tuple[str, ...]  # fields of what `vista_score` returns, as columns behind them


def score(order: ScoreOrder, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield rows with what a model says of each."""
    text = json.dumps({"home": _home(order), "model": order.reference}, sort_keys=True)
    runtime, kernel = _runtime(os.getpid()), kernels()["vista_score"]
    for batch in _cut(batches, SCORED_ROWS):
        said = kernel.function(runtime, pa.repeat(text, len(batch)), batch.to_struct_array())
        columns = [batch.column(name) for name in order.kept]
        columns += [as_spark_takes(said.field(name)) for name in order.added]
        yield pa.RecordBatch.from_arrays(columns, [*order.kept, *order.added])


@once
def _home(order: ScoreOrder) -> str:
    """Return a folder that holds the model, while this process lives."""
    home = tempfile.mkdtemp(prefix="vista_sql_models_")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    folder = Path(home, "models", order.name.lower(), str(order.version))
    folder.mkdir(parents=True)
    for name, data in order.files:
        (folder / name).write_bytes(data)
    return home


@once
def kernels() -> dict[str, Kernel]:
    """Return every kernel there is by its name."""
    return {
        kernel.name: kernel
        for name in catalog.names(PACKAGE)
        for kernel in catalog.load(PACKAGE, name, "KERNELS", tuple)
    }
