"""The worker process of the duckdb shell: the planner and the kernels behind one socket."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from vista_sql.errors import HostError
from vista_sql.hosts import HostKind, macros
from vista_sql.hosts.binding import Binder, Look
from vista_sql.hosts.duckdb.functions import kernels
from vista_sql.hosts.duckdb.process import process
from vista_sql.hosts.shell import asking, build, columns
from vista_sql.hosts.shell.server import WATCH_SECONDS, Cancelled, Request, Server
from vista_sql.kernels import Kernel
from vista_sql.machine.resources import machine, own_version
from vista_sql.planning.capabilities import Capabilities
from vista_sql.settings import Settings
from vista_sql.sql.calls import Call

HOST = HostKind(
    "shell",
    "the stock duckdb shell: one SELECT, planned by the worker while the shell binds it",
    Capabilities(lifts_filters=True),
)

PLANNING = threading.Lock()
"""Held while one call is planned: the process then stands in its shell's working folder."""


class Shell:
    """One database that a shell has open."""

    def __init__(self, name: str, database: str, functions: dict[str, Kernel]) -> None:
        """Open a database for the calls of one shell.

        Args:
            name: unguessable, the shell's own choice; a worker that follows this one sees it again.
            database: the file's path, "" in memory.
            functions: the kernels by name.
        """
        self._scratch = Path(tempfile.gettempdir()) / f"vista_sql_{name}"
        home = f"{database}.vista" if database else str(self._scratch)
        self._kernels, self._runtime = functions, process().runtime
        self._binder = Binder(home, name, HOST.capabilities, self._runtime)

    def call(self, request: Request) -> tuple[pa.Array, pa.DataType]:
        """Return a function's column."""
        if request.function == "vista_plan":
            return pa.array(list(self._plans(request)), pa.large_string()), pa.large_string()
        if request.function == "vista_kept":
            texts = (column.to_pylist() for column in request.columns)
            return pa.array(macros.kept(*texts), pa.bool_()), pa.bool_()
        if request.function == "vista_home":
            home = self._binder.home(Settings({}, request.environment), request.folder)
            return pa.array([home] * request.rows, pa.large_string()), pa.large_string()
        kernel = self._kernels.get(request.function)
        if kernel is None:
            raise HostError(f"a request calls {request.function!r}, and there is no such function")
        raise_if_cancelled = partial(_raise_if_cancelled, request)
        runtime = self._runtime.for_call(raise_if_cancelled)
        try:
            raise_if_cancelled()
            with _interruptible(request) if kernel.is_long else contextlib.nullcontext():
                column = kernel.function(runtime, *request.columns)
        except Cancelled:
            if kernel.undo is not None:
                kernel.undo(self._runtime, *request.columns)
            raise
        return column, columns.declared(build.short_form(kernel.returns))

    def _plans(self, request: Request) -> Iterator[str]:
        for name, given, more in zip(*(c.to_pylist() for c in request.columns), strict=True):
            if name == asking.ANSWERED:
                answer = asking.answer(given, more)
            else:
                answer = asking.Answer(macros.call_of(name, given), more, ())
            call, variables = answer.call, answer.variables
            try:
                yield self._planned(request, call, variables, answer.looking())
            except asking.Unanswered as unanswered:
                yield asking.question(call, variables, unanswered.relation, answer.known)

    def _planned(
        self, request: Request, call: Call, variables: Mapping[str, Any], look: Look
    ) -> str:
        settings = Settings(variables, request.environment)
        with PLANNING, _standing_in(request.folder):
            return self._binder.expand(call, settings, request.folder, look)

    def close(self) -> None:
        """Write what its runs did; drop what a database in memory left."""
        self._binder.flush()
        shutil.rmtree(self._scratch, ignore_errors=True)


@contextlib.contextmanager
def _standing_in(folder: str) -> Iterator[None]:
    """Make a shell's working folder this process's."""
    with contextlib.ExitStack() as back:
        try:
            back.enter_context(contextlib.chdir(folder))
        except OSError as error:
            raise HostError(
                f"the shell's working folder {folder!r} cannot be entered ({error.strerror}); go "
                "to another one with .cd"
            ) from error
        yield


def _raise_if_cancelled(request: Request) -> None:
    """Raise Cancelled where the client of a call has gone."""
    if request.cancelled.is_set():
        raise Cancelled


@contextlib.contextmanager
def _interruptible(request: Request) -> Iterator[None]:
    """Raise Cancelled in this thread, between two of Python's steps, when its call is cancelled.

    For kernels that work long in other people's code, which asks nobody.
    """
    thread, ended, lock = threading.get_ident(), threading.Event(), threading.Lock()

    def watch() -> None:
        while not ended.wait(WATCH_SECONDS):
            with lock:
                if request.cancelled.is_set() and not ended.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(thread), ctypes.py_object(Cancelled)
                    )
                    return

    threading.Thread(target=watch, name="vista-cancel", daemon=True).start()
    try:
        yield
    finally:
        with lock:
            ended.set()


def serve(
    socket: Path,
    idle_seconds: float,
    memory_limit: int | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve shells until nobody has called for `idle_seconds`, or `vista worker --stop`.

    Args:
        socket: where to listen.
        idle_seconds: without a call.
        memory_limit: most bytes that this process may allocate; None: what the machine has.
        ready: called once shells can connect.

    Raises:
        HostError: another worker listens there, or the socket's folder is not private.
    """
    functions = {kernel.name: kernel for kernel in kernels()}
    limit = machine(memory_limit).memory_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))

    def open_shell(name: str, database: str) -> Shell:
        return Shell(name, database, functions)

    os.environ.pop("VISTA_SQL_SCHEMES", None)  # the starting shell's: each request has its own
    server = Server(socket, open_shell, own_version(), idle_seconds)
    os.chdir("/")  # keeps no folder of a user's busy
    ready()
    server.serve()
    process().runtime.close()
