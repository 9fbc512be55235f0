"""vista_feed(run, row): give rows to a running training; returns 1 for each."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vista_sql.errors import ModelError
from vista_sql.kernels import Kernel

from .passes.arrow import Column
from .passes.runtime import Runtime


def feed(runtime: Runtime, run: Column, row: Column) -> pa.Array:
    """Feed a batch; called from several threads at once.

    Args:
        runtime: holds the trainings of the process.
        run: the id that vista_begin returned, the same in all rows.
        row: a STRUCT of all columns of the data.

    Raises:
        ModelError: rows of several runs in one batch, or rows that cannot be trained on.
    """
    if len(run):
        names = pc.unique(run).to_pylist()
        if len(names) != 1 or names[0] is None:
            raise ModelError("VISTA_TRAIN and VISTA_EVALUATE cannot be correlated with other rows")
        began = time.perf_counter()
        statement = runtime.trainings.statement(names[0])
        runtime.trainings.feed(names[0], row)
        runtime.count(statement, feed_seconds=time.perf_counter() - began)
    return pa.array(np.ones(len(run), np.int64))


def drop(runtime: Runtime, run: Column, row: Column) -> None:
    """End the training whose feeding was cancelled; the arguments are those of `feed`."""
    del row
    if len(run):
        runtime.trainings.drop(run[0].as_py())


KERNELS = (Kernel("vista_feed", None, "BIGINT", feed, undo=drop),)
