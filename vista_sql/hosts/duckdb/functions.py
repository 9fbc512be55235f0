"""DuckDB in this process: kernels as Arrow functions, our table functions as TEMP macros."""

from __future__ import annotations

import contextlib
import errno
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
from duckdb import func

from vista_sql import catalog
from vista_sql.errors import HostError, QueryError, VistaError
from vista_sql.hosts import macros
from vista_sql.hosts.duckdb.process import Failures, process
from vista_sql.hosts.duckdb.turns import refuse_other_process
from vista_sql.kernels import PACKAGE, Kernel
from vista_sql.planning.calls import PLANNED_AWAY
from vista_sql.sql.calls import Call

Expand = Callable[[Call, Mapping[str, Any]], str]
"""(call, the connection's vista_ variables) → the SELECT that the call stands for."""


def is_planned_away(error: BaseException) -> bool:
    """Return whether DuckDB met a column that the statement seemed not to use."""
    return f"Error: {PLANNED_AWAY}" in str(error)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise the error that a kernel or the planner raised, instead of DuckDB's account of it."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            raise _too_long(error) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's own, not how Arrow reports what failed after the first batch
        found = process().failures.find(error)
        if isinstance(found, VistaError):
            raise found from error
        if is_planned_away(error):
            raise HostError(
                "DuckDB read a column that the statement did not seem to use, and it is too "
                "late to plan it "
                "again; run it with con.sql(), which plans each TRANSFER by itself"
            ) from error
        if "KeyboardInterrupt" in str(error) or "Query interrupted" in str(error):
            raise KeyboardInterrupt from error
        if found is not None:  # of the rows of a stream: without Arrow's account of it
            raise found from error
        if isinstance(error, OSError):
            raise duckdb.Error(str(error)) from error
        if _GENERATED.search(str(error)):
            said, _, excerpt = str(error).partition("LINE ")
            shown = said.rstrip() if _GENERATED.search(excerpt) else str(error)
            raise type(error)(_GENERATED.sub(r"\1", shown)) from error
        raise


_GENERATED = re.compile(r"__vista_[0-9a-f]{8}_(\w+)")
"""A name in SQL that the user never wrote, and the part of it that says what it is of."""


def _too_long(error: OSError) -> QueryError:
    name = str(error.filename)
    return QueryError(
        f"no file can be called {name[:40]!r}… ({len(name)} characters), as the statement says: "
        "the system takes 255 for a name; check the path"
    )


def kernels() -> Iterator[Kernel]:
    """Yield every kernel there is."""
    for name in catalog.names(PACKAGE):
        yield from catalog.load(PACKAGE, name, "KERNELS", tuple)


def are_registered(con: duckdb.DuckDBPyConnection) -> bool:
    """Return whether a connection's database has the kernels and the planner.

    It looks through all functions, which takes 30 ms where nobody has done so before.
    """
    found = con.execute(
        "SELECT count(*) FROM duckdb_functions() WHERE function_name = 'vista_home'"
    ).fetchall()
    return bool(found[0][0])


def home(con: duckdb.DuckDBPyConnection) -> str:
    """Return the folder of models, runs and errors of a registered connection's database."""
    return str(con.execute("SELECT vista_home()").fetchall()[0][0])


def register(con: duckdb.DuckDBPyConnection, expand: Expand, home: str) -> bool:
    """Register the kernels and the planner on a connection's database, unless they are there.

    Args:
        con: any connection to the database; where it has a transaction open, and they are there,
            the error by which that is found aborts the transaction.
        expand: plans a call while DuckDB binds the statement that holds it.
        home: the database's folder of models, runs and errors.

    Returns:
        Whether they were not there.

    Raises:
        QueryError: the connection's transaction began before they were there, and cannot see them.
    """

    def folder() -> str:
        return home

    try:
        con.create_function("vista_home", folder, [], "VARCHAR")
    except duckdb.CatalogException:
        return False
    except duckdb.NotImplementedException:  # the connection has known such names
        if are_registered(con):
            return False
        with con.cursor() as other:  # a transaction that made them was rolled back
            register(other, expand, home)
        if not are_registered(con):
            raise QueryError(
                "attach() in a transaction after one in a transaction that was rolled back: end "
                "the transaction (COMMIT or ROLLBACK), then attach"
            ) from None
        return True
    process().functions.append(folder)
    runtime, failures = process().runtime, process().failures
    for kernel in kernels():
        _create(
            con, kernel.name, _guarded(kernel, runtime, failures), kernel.parameters, kernel.returns
        )
    _create(con, "vista_kept", _kept, ("VARCHAR", "VARCHAR", "VARCHAR"), "BOOLEAN", volatile=False)
    _create(con, "vista_plan", _planner(expand, failures), None, "VARCHAR", volatile=False)
    return True


def _create(
    con: duckdb.DuckDBPyConnection,
    name: str,
    function: Callable[..., Any],
    parameters: tuple[str, ...] | None,
    returns: str,
    *,
    volatile: bool = True,
) -> None:
    types: list[Any] | None = None if parameters is None else [*parameters]
    process().functions.append(function)
    con.create_function(
        name,
        function,
        types,
        _type_of(returns),
        type=func.ARROW,
        null_handling=func.SPECIAL,
        side_effects=volatile,
    )


@cache
def _type_of(text: str) -> Any:
    """Return a type by its text; of many layers by its fields: DuckDB reads a thousand in 20 ms."""
    if not text.startswith("STRUCT(l1 "):
        return duckdb.sqltype(text)
    fields = (field.split(" ") for field in text[len("STRUCT(") : -1].split(", "))
    return duckdb.struct_type({name: _type_of(kind) for name, kind in fields})


def _guarded(kernel: Kernel, runtime: Any, failures: Failures) -> Callable[..., pa.Array]:
    """Wrap a kernel so that the error it raises can be raised again after DuckDB flattened it."""
    call, process_id = kernel.function, os.getpid()

    def guarded(*columns: Any) -> pa.Array:
        try:
            refuse_other_process(process_id)
            return call(runtime, *columns)
        except VistaError as error:
            failures.add(error)
            raise
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            failures.add(said := _too_long(error))
            raise said from error

    if kernel.parameters is not None:  # DuckDB counts the parameters of the function itself
        guarded.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(f"column_{i}", inspect.Parameter.POSITIONAL_ONLY)
                for i in range(len(kernel.parameters))
            ]
        )
    return guarded


def _kept(columns: pa.ChunkedArray, added: pa.ChunkedArray, hidden: pa.ChunkedArray) -> pa.Array:
    texts = (column.to_pylist() for column in (columns, added, hidden))
    return pa.array(macros.kept(*texts), pa.bool_())


def _planner(expand: Expand, failures: Failures) -> Callable[..., pa.Array]:
    """Return the function behind `vista_plan(name, arguments, variables)`."""
    process_id = os.getpid()

    def plan(
        name: pa.ChunkedArray, arguments: pa.ChunkedArray, variables: pa.ChunkedArray
    ) -> pa.Array:
        refuse_other_process(process_id)
        texts = []
        for row in range(len(arguments)):
            call = macros.call_of(name[row].as_py(), arguments[row].as_py())
            try:
                texts.append(expand(call, variables[row].as_py()))
            except VistaError as error:
                failures.add(error)
                raise
        return pa.array(texts, pa.string())

    return plan


def create_macros(con: duckdb.DuckDBPyConnection) -> None:
    """Create the TEMP macros of our table functions on one connection."""
    shared = process()
    with shared.registering:
        if not shared.macros:  # DuckDB takes 30 ms to read their text
            shared.macros.extend(con.extract_statements("; ".join(macros.macros())))
    for statement in shared.macros:
        con.execute(statement)


def variables(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return the connection's `vista_` variables that are set."""
    shown = ", ".join(f"getvariable('{name}')" for name in macros.VARIABLES)
    row = con.execute(f"SELECT {shown}").fetchall()[0]
    named = zip(macros.VARIABLES, row, strict=True)
    return {name: value for name, value in named if value is not None}
