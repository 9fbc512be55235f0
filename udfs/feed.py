"""vista_feed(run, row): give rows to a running training; returns 1 for each."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vista_sql.errors import ModelError
from vista_sql.kernels import Kernel


def feed(runtime: Any, run: pa.ChunkedArray, row: pa.ChunkedArray) -> pa.Array:
    """Feed a batch; called from several threads at once.

    Args:
        runtime: has `trainings`.
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


KERNELS = (Kernel("vista_feed", None, "BIGINT", feed),)
