"""vista_feed(run, row[, relation]): give rows to a run, which numbers them."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vista_sql.errors import ModelError
from vista_sql.fed_runs import DATA
from vista_sql.kernels import Kernel

from .passes.arrow import Column
from .passes.runtime import Runtime


def feed(runtime: Runtime, run: Column, row: Column, relation: Column | None = None) -> pa.Array:
    """Feed a batch; called from several threads at once.

    Args:
        runtime: holds the runs of the process.
        run: the id that vista_begin returned, the same in all rows.
        row: a STRUCT of all columns of the data.
        relation: which of the run's relations the rows are of, the same in all; absent: its only.

    Returns:
        BIGINT: each row's number in its relation, from 0 on, in the order in which they came.

    Raises:
        ModelError: rows of several runs in one batch, or rows that the run cannot use.
    """
    if not len(run):
        return pa.array([], pa.int64())
    names = pc.unique(run).to_pylist()
    if len(names) != 1 or names[0] is None:
        raise ModelError("VISTA_TRAIN and its like cannot be correlated with other rows")
    began = time.perf_counter()
    statement = runtime.fed_runs.statement(names[0])
    of = DATA if relation is None else relation[0].as_py()
    first = runtime.fed_runs.feed(names[0], row, of)
    runtime.count(statement, feed_seconds=time.perf_counter() - began)
    return pa.array(np.arange(first, first + len(run), dtype=np.int64))


def drop(runtime: Runtime, run: Column, *others: Column) -> None:
    """End the run whose feeding was cancelled; the arguments are those of `feed`."""
    del others
    if len(run):
        runtime.fed_runs.drop(run[0].as_py())


KERNELS = (Kernel("vista_feed", None, "BIGINT", feed, undo=drop),)
