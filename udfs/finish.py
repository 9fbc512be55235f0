"""vista_finish_<kind>(run, fed): end a run of a kind, and return its rows."""

from __future__ import annotations

import time
from functools import partial
from itertools import accumulate

import pyarrow as pa

from vista_sql import catalog
from vista_sql.fed_runs import FedKind, Rows
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
    results = []
    for name, told in zip(run.to_pylist(), fed.to_pylist(), strict=True):
        began = time.perf_counter()
        statement = runtime.fed_runs.statement(name)
        results.append(_rows(kind, runtime.fed_runs.finish(name, told)))
        runtime.count(statement, train_seconds=time.perf_counter() - began)
    offsets = [0, *accumulate(map(len, results))]
    rows = pa.concat_arrays([pa.array([], kind.row_type), *results])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), rows)


def _rows(kind: FedKind, rows: Rows) -> pa.StructArray:
    """Return a run's result rows as the kind has them; a field that they lack is NULL."""
    if not isinstance(rows, pa.Array):
        names = [name for name, _, _ in kind.fields]
        return pa.array([{name: row.get(name) for name in names} for row in rows], kind.row_type)
    columns = [rows.field(name).cast(field) for name, _, field in kind.fields]
    return pa.StructArray.from_arrays(columns, fields=list(kind.row_type))


def _kernel(name: str) -> Kernel:
    kind = catalog.load(FED, name, "KIND", FedKind)
    parameters = ("VARCHAR", kind.fed_type)
    return Kernel(
        f"vista_finish_{name}", parameters, kind.sql_type, partial(finish, kind), is_long=True
    )


KERNELS = tuple(map(_kernel, catalog.names(FED)))
