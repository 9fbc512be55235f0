"""vista_finish_<kind>(run, fed): end a run of a kind, and return its rows."""

from __future__ import annotations

import time
from functools import partial

import pyarrow as pa

from vista_sql import catalog
from vista_sql.fed_runs import FedKind
from vista_sql.kernels import Kernel

from .passes.arrow import Column
from .passes.runtime import FED, Runtime


def finish(kind: FedKind, runtime: Runtime, run: Column, fed: Column) -> pa.Array:
    """End runs that were fed, and return what came of it.

    Args:
        kind: of the runs.
        runtime: holds the runs of the process.
        run: ids that vista_begin returned.
        fed: what each was fed, of the kind's `fed_type`; NULL for nothing.

    Returns:
        Per run a list of structs, the kind's fields.

    Raises:
        ModelError: no rows, another number of rows than arrived, or rows nothing comes of.
    """
    names = [name for name, _, _ in kind.fields]
    results = []
    for name, told in zip(run.to_pylist(), fed.to_pylist(), strict=True):
        began = time.perf_counter()
        statement = runtime.fed_runs.statement(name)
        rows = runtime.fed_runs.finish(name, told)
        results.append([{field: row.get(field) for field in names} for row in rows])
        runtime.count(statement, train_seconds=time.perf_counter() - began)
    return pa.array(results, kind.arrow_type)


def _kernel(name: str) -> Kernel:
    kind = catalog.load(FED, name, "KIND", FedKind)
    parameters = ("VARCHAR", kind.fed_type)
    return Kernel(
        f"vista_finish_{name}", parameters, kind.sql_type, partial(finish, kind), is_long=True
    )


KERNELS = tuple(map(_kernel, catalog.names(FED)))
