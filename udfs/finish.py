"""vista_finish(run, n): train on what was fed and return a row per model."""

from __future__ import annotations

import time

import pyarrow as pa

from vista_sql.kernels import Kernel
from vista_sql.train.runs import ARROW_TYPE, SQL_TYPE

from .passes.arrow import Column
from .passes.runtime import Runtime


def finish(runtime: Runtime, run: Column, n: Column) -> pa.Array:
    """Train on the rows that runs were fed, and return what came of it.

    Args:
        runtime: holds the trainings of the process.
        run: ids that vista_begin returned.
        n: how many rows each was fed; NULL for none.

    Returns:
        Per run a list of structs, the fields of `vista_sql.train.runs.FIELDS`.

    Raises:
        ModelError: no rows, another number of rows than arrived, or rows nothing can be learned of.
    """
    results = []
    for name, rows in zip(run.to_pylist(), n.to_pylist(), strict=True):
        began = time.perf_counter()
        statement = runtime.trainings.statement(name)
        results.append(runtime.trainings.finish(name, rows or 0))
        runtime.count(statement, train_seconds=time.perf_counter() - began)
    names = [field.name for field in ARROW_TYPE.value_type]
    models = [[{name: row.get(name) for name in names} for row in result] for result in results]
    return pa.array(models, ARROW_TYPE)


KERNELS = (Kernel("vista_finish", ("VARCHAR", "BIGINT"), SQL_TYPE, finish, is_long=True),)
