"""What the DuckDB connections of a process share: the kernels' runtime, errors, memory shares."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from msgspec import Struct, field

from vista_sql import catalog
from vista_sql.errors import VistaError
from vista_sql.hosts.duckdb.attached import Attached
from vista_sql.hosts.duckdb.limit import Shares
from vista_sql.kernels import PACKAGE, ProcessRuntime
from vista_sql.once import once


class Failures:
    """What kernels and the rows of a stream raised: DuckDB flattens it to text, this finds it."""

    def __init__(self) -> None:
        self._errors: list[VistaError | duckdb.Error] = []
        self._lock = threading.Lock()

    def add(self, error: VistaError | duckdb.Error) -> None:
        """Keep an error; only the newest few are kept."""
        with self._lock:
            self._errors = [*self._errors[-15:], error]

    def find(self, flattened: BaseException) -> VistaError | duckdb.Error | None:
        """Return the kept error whose text stands in DuckDB's, and forget it."""
        text = str(flattened)
        with self._lock:
            for error in reversed(self._errors):
                if str(error) and str(error) in text:
                    self._errors.remove(error)
                    return error
        return None


class Process(Struct, frozen=True):
    """What connections share: each network is loaded once, each database's limit is one."""

    runtime: ProcessRuntime
    failures: Failures = field(default_factory=Failures)
    shares: Shares = field(default_factory=Shares)
    unmeasured: set[Path] = field(default_factory=set)  # calibrations that were tried for
    opening: threading.Lock = field(default_factory=threading.Lock)
    registering: threading.Lock = field(default_factory=threading.Lock)
    attached: dict[str, Attached] = field(default_factory=dict)  # by their home folders
    macros: list[duckdb.Statement] = field(default_factory=list)  # as DuckDB has read them
    functions: list[Callable[..., Any]] = field(default_factory=list)
    """All that were given to DuckDB: it calls them through pointers of its own, which outlive the
    connection that registered them wherever the database has another."""


def process() -> Process:
    """Return what the connections of this process share; made at the first call."""
    return _process(os.getpid())


@once
def _process(process_id: int) -> Process:
    del process_id  # threads and locks do not cross a fork
    runtime: ProcessRuntime = catalog.module(PACKAGE, "passes.runtime").Runtime()
    return Process(runtime)
