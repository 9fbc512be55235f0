"""CNN feature transfer as SQL on DuckDB: `SELECT … FROM TRANSFER(cnn => …, layers => […])`.

    db = vista_sql.connect("foods.duckdb")        a Session on a database; db.con is the connection
    rows = db.query("SELECT … FROM TRANSFER(…)")  a Result: rows.df(), .arrow(), .numpy(), .tf() …
    vista_sql.query("SELECT …")                   the same on a session in memory
    vista_sql.attach(con)                         TRANSFER and VISTA_* in con.sql("SELECT …")
    vista_sql.progress_bar()                      shows how far a statement is; see Progress
    vista_sql.errors                              all that is raised on purpose, below VistaError

Importing this loads neither TensorFlow nor DuckDB; what needs them loads them when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vista_sql import errors
    from vista_sql.errors import VistaError
    from vista_sql.hosts.spark.session import Spark, spark
    from vista_sql.progress import Progress
    from vista_sql.progress import bar as progress_bar
    from vista_sql.result import Result
    from vista_sql.session import Session, attach, connect, query

__version__: str
"""As pyproject.toml has it; read off the installation when it is asked for."""

__all__ = [
    "Progress",
    "Result",
    "Session",
    "Spark",
    "VistaError",
    "__version__",
    "attach",
    "connect",
    "errors",
    "progress_bar",
    "query",
    "spark",
]

_HOMES = {
    "Progress": "progress",
    "Result": "result",
    "Session": "session",
    "Spark": "hosts.spark.session",
    "VistaError": "errors",
    "attach": "session",
    "connect": "session",
    "query": "session",
    "spark": "hosts.spark.session",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("vista_sql.machine.resources").own_version()
    if name == "errors":
        return import_module("vista_sql.errors")
    if name == "progress_bar":
        return import_module("vista_sql.progress").bar
    if name in _HOMES:
        return getattr(import_module(f"vista_sql.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'vista_sql' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
