"""DuckDB in this process: kernels as Arrow functions, our table functions as TEMP macros."""

from __future__ import annotations

import contextlib
import inspect
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from duckdb import func

from vista_sql import catalog
from vista_sql.errors import HostError, VistaError
from vista_sql.hosts import macros
from vista_sql.kernels import PACKAGE, Kernel, ProcessRuntime
from vista_sql.machine.resources import Capabilities
from vista_sql.planning.rewrite import PLANNED_AWAY
from vista_sql.sql.calls import Call
from vista_sql.sql.quoting import text_literal

STATEMENTS = Capabilities("duckdb", small_batches=True)
"""What `query()` can do: it sees the whole statement and stages rows itself."""

BIND_TIME = Capabilities("duckdb, bound in the statement")
"""What a bare connection can do: one SELECT, planned while DuckDB binds it."""

Expand = Callable[[Call, Mapping[str, Any]], str]
"""(call, the connection's vista_ variables) → the SELECT that the call stands for."""


class Failures:
    """The errors that kernels raised: DuckDB flattens them to text, this finds them again."""

    def __init__(self) -> None:
        self._errors: list[VistaError] = []
        self._lock = threading.Lock()

    def add(self, error: VistaError) -> None:
        """Keep an error; only the newest few are kept."""
        with self._lock:
            self._errors = [*self._errors[-15:], error]

    def find(self, flattened: BaseException) -> VistaError | None:
        """Return the kept error whose text stands in DuckDB's, and forget it."""
        text = str(flattened)
        with self._lock:
            for error in reversed(self._errors):
                if str(error) and str(error) in text:
                    self._errors.remove(error)
                    return error
        return None


@cache
def process_runtime() -> ProcessRuntime:
    """Return what all kernels of this process share: each network is loaded once."""
    runtime: ProcessRuntime = catalog.module(PACKAGE, "passes.runtime").Runtime()
    return runtime


@cache
def process_failures() -> Failures:
    """Return the errors of this process's kernels."""
    return Failures()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise the error that a kernel or the planner raised, instead of DuckDB's account of it."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's own, not how Arrow reports what failed after the first batch
        found = process_failures().find(error)
        if found is not None:
            raise found from error
        if f"Error: {PLANNED_AWAY}" in str(error):
            raise HostError(
                "DuckDB read a column that the statement seemed not to use; run it with con.sql(), "
                "which plans each TRANSFER by itself, and tell us of the statement"
            ) from error
        if "KeyboardInterrupt" in str(error) or "Query interrupted" in str(error):
            raise KeyboardInterrupt from error
        if isinstance(error, OSError):
            raise duckdb.Error(str(error)) from error
        raise


def kernels() -> Iterator[Kernel]:
    """Yield every kernel there is."""
    for name in catalog.names(PACKAGE):
        yield from catalog.load(PACKAGE, name, "KERNELS", tuple)


def register(con: duckdb.DuckDBPyConnection, expand: Expand, home: str) -> None:
    """Register the kernels and the planner on a connection's database, once.

    Args:
        con: any connection to the database.
        expand: plans a call while DuckDB binds the statement that holds it.
        home: the database's folder of models, runs and errors.
    """
    known = {
        row[0]
        for row in con.execute(
            "SELECT function_name FROM duckdb_functions() WHERE function_name LIKE 'vista_%'"
        ).fetchall()
    }
    if "vista_plan" in known:
        return
    runtime, failures = process_runtime(), process_failures()
    for kernel in kernels():
        _create(
            con, kernel.name, _guarded(kernel, runtime, failures), kernel.parameters, kernel.returns
        )
    _create(con, "vista_kept", _kept, ("VARCHAR", "VARCHAR", "VARCHAR"), "BOOLEAN", volatile=False)
    con.create_function("vista_home", lambda: home, [], "VARCHAR")
    _create(con, "vista_plan", _planner(expand, failures), None, "VARCHAR", volatile=False)


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
    with contextlib.suppress(duckdb.NotImplementedException):  # another thread registered it
        con.create_function(
            name,
            function,
            types,
            returns,
            type=func.ARROW,
            null_handling=func.SPECIAL,
            side_effects=volatile,
        )


def _guarded(
    kernel: Kernel, runtime: ProcessRuntime, failures: Failures
) -> Callable[..., pa.Array]:
    """Wrap a kernel so that the error it raises can be raised again after DuckDB flattened it."""
    call = kernel.function

    def guarded(*columns: Any) -> pa.Array:
        try:
            return call(runtime, *columns)
        except VistaError as error:
            failures.add(error)
            raise

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

    def plan(
        name: pa.ChunkedArray, arguments: pa.ChunkedArray, variables: pa.ChunkedArray
    ) -> pa.Array:
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


def home(con: duckdb.DuckDBPyConnection) -> str:
    """Return the folder of models, runs and errors of a registered connection's database."""
    return str(con.execute("SELECT vista_home()").fetchall()[0][0])


def create_macros(con: duckdb.DuckDBPyConnection) -> None:
    """Create the TEMP macros of our table functions on one connection."""
    for text in macros.macros():
        con.execute(text)


def variables(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return the connection's `vista_` variables that are set."""
    shown = ", ".join(f"getvariable('{name}')" for name in macros.VARIABLES)
    row = con.execute(f"SELECT {shown}").fetchall()[0]
    named = zip(macros.VARIABLES, row, strict=True)
    return {name: value for name, value in named if value is not None}


def describe(con: duckdb.DuckDBPyConnection, query: str) -> dict[str, str]:
    """Return a query's columns (name → type).

    Raises:
        duckdb.Error: it does not bind.
    """
    rows = con.execute(f"DESCRIBE {query}").fetchall()
    return {row[0]: row[1] for row in rows}


def in_transaction(con: duckdb.DuckDBPyConnection) -> bool:
    """Return whether the user has begun a transaction."""
    first, second = (con.execute("SELECT txid_current()").fetchall() for _ in range(2))
    return first == second  # else each statement is a transaction of its own


def private_names(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names (lower case) that only this connection sees: temporary tables and views."""
    rows = con.execute(
        "SELECT lower(table_name) FROM duckdb_tables() WHERE temporary "
        "UNION ALL SELECT lower(view_name) FROM duckdb_views() WHERE temporary AND NOT internal"
    ).fetchall()
    return {row[0] for row in rows}


def database_file(con: duckdb.DuckDBPyConnection) -> str | None:
    """Return the path of the connection's database file; None for one in memory."""
    rows = con.execute(
        "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    ).fetchall()
    path = rows[0][0] if rows else None
    return str(Path(path).absolute()) if path and path != ":memory:" else None


SHELL_STORAGE = "v1.4.0"
"""The storage format of files that we create: the shells of the registries read it."""


def create_file(database: str, config: Mapping[str, Any]) -> None:
    """Create a database file in a format that the stock shell opens, if there is none yet.

    DuckDB keeps a file's format. To ask for it when connecting would be another configuration than
    a user's own connection to the file has, which DuckDB refuses.
    """
    given = {"storage_compatibility_version", "access_mode", "encryption_key"} & set(config)
    if given or ":" in database or not database or Path(database).exists():
        return
    if Path(database).parent.is_dir():
        with duckdb.connect() as con:
            con.execute(
                f"ATTACH {text_literal(database)} AS made (STORAGE_VERSION '{SHELL_STORAGE}')"
            )


def tables(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Return the names of the tables and views that the connection sees, sorted."""
    rows = con.execute(
        "SELECT table_name FROM duckdb_tables() "
        "UNION SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1"
    ).fetchall()
    return tuple(row[0] for row in rows)


def views(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the definitions of the views that the connection sees, by name in lower case."""
    found = "SELECT lower(view_name), sql FROM duckdb_views() WHERE NOT internal"
    return {row[0]: row[1] or "" for row in con.execute(found).fetchall()}


def value(con: duckdb.DuckDBPyConnection, expression: str, params: Any) -> Any:
    """Return the value of a constant expression; `params` are the statement's parameters."""
    wanted = sorted(set(re.findall(r"\$(\w+)", expression)))
    given: Any = None
    if isinstance(params, Mapping):
        given = {name: params[name] for name in wanted if name in params} or None
    elif params and wanted:
        given = list(params)[: max(int(name) for name in wanted)]
        shown = ", ".join(f"CAST(${i} AS VARCHAR)" for i in range(1, len(given) + 1))
        return con.execute(f"SELECT {expression}, {shown}", given).fetchall()[0][0]
    return con.execute(f"SELECT {expression}", given).fetchall()[0][0]
