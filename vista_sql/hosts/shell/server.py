"""The worker's socket: serves the calls of all shells of a user, each connection in a thread.

A connection says hello once and then makes one call at a time. While a call runs its client has
nothing to say: a socket that can be read means that the client is gone (Ctrl-C, a killed shell),
and the call is cancelled at the next step of its kernel.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from msgspec import Struct

from vista_sql.errors import HostError, VistaError
from vista_sql.hosts.shell import columns, places

PROTOCOL = 1
HELLO, CALL, STOP = 1, 2, 3  # kinds of requests
WELL, ERROR = 0, 1  # kinds of replies
FRAME = struct.Struct("=4sIQQ")  # magic, kind, bytes of text, bytes of body: link.c
MAGIC = b"VSQ1"
MOST_TEXT_BYTES = 64 << 20  # of a description; bodies are as large as the user's rows
MOST_ROWS = 1 << 20  # of a call; DuckDB hands over 2,048
TRUSTED_BYTES = 64 << 20  # of memory for what is announced, until so much of it has come
SENT_AT_ONCE = 1 << 20
WATCH_SECONDS = 0.1
GREETING_SECONDS = 10.0  # in which a client must say hello


class Cancelled(BaseException):
    """The client of a call has gone."""


class Request(Struct, frozen=True):
    """A call of one function: Arrow columns of equal length, and where its user stands."""

    function: str
    rows: int
    columns: list[pa.Array]
    folder: str  # the shell's working folder
    environment: Mapping[str, str]  # its VISTA_SQL_… variables
    cancelled: threading.Event


class Handler(Protocol):
    """What answers the calls of a shell; one per database that a shell has open."""

    def call(self, request: Request) -> tuple[pa.Array, pa.DataType]:
        """Return a column of `request.rows` rows, and the type in which it travels.

        Raises:
            VistaError: what the user is told.
            Cancelled: the client has gone.
        """

    def close(self) -> None:
        """Give back what belongs to the shell: nobody is connected any more."""


OpenShell = Callable[[str, str], Handler]
"""(a shell's id, the path of its database or "") → what answers its calls."""


class Server:
    """Accepts connections on one socket until it is idle for too long, or told to stop."""

    def __init__(
        self, path: Path, open_shell: OpenShell, package: str, idle_seconds: float
    ) -> None:
        """Begin to listen.

        Args:
            path: of the socket, in a folder that only this user can enter.
            open_shell: makes a shell.
            package: the version that clients must have too.
            idle_seconds: ends `serve` after so long without a call.

        Raises:
            HostError: the folder is not private, or another worker listens there.
        """
        self._path, self._open, self._package = path, open_shell, package
        self._idle_seconds = idle_seconds
        self._shells: dict[str, tuple[Handler, int]] = {}  # by id, with its number of connections
        self._opening = threading.Lock()
        self._running: dict[socket.socket, threading.Event] = {}  # calls under way
        self._lock = threading.Condition()
        self._last_call = time.monotonic()
        self._stopped = False
        self._closed = threading.Event()
        self._socket = _listen(path)
        self._inode = path.stat().st_ino

    def serve(self) -> None:
        """Serve until it is time to end."""
        threading.Thread(target=self._watch, name="vista-watch", daemon=True).start()
        while not self._stopped and not self._is_idle():
            readable, _, _ = select.select([self._socket], [], [], 0.5)
            if readable:
                try:
                    client, _ = self._socket.accept()
                except OSError:  # it has gone again, or there are too many
                    time.sleep(WATCH_SECONDS)
                else:
                    self._start(client)
        self.close()

    def close(self) -> None:
        """Stop listening and let shells give back what is theirs."""
        self._socket.close()
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        with self._opening:
            for shell, _ in self._shells.values():
                shell.close()
            self._shells.clear()
        self._closed.set()

    def stop(self) -> None:
        """Make `serve` return."""
        self._stopped = True

    def _is_idle(self) -> bool:
        with self._lock:
            idle = time.monotonic() - self._last_call
            return not self._running and idle > self._idle_seconds

    def _start(self, client: socket.socket) -> None:
        if _is_stranger(client):
            client.close()
            return
        thread = threading.Thread(
            target=self._converse, args=(client,), name="vista-call", daemon=True
        )
        thread.start()

    # ── one connection ──────────────────────────────────────────────────────────────────────────

    def _converse(self, client: socket.socket) -> None:
        joined = ""
        try:
            with client:
                client.settimeout(GREETING_SECONDS)
                joined, shell = self._greeted(client)
                client.settimeout(None)
                while shell is not None:
                    self._served(client, shell)
        except (EOFError, OSError, Cancelled):
            pass  # the client has gone
        except HostError as error:
            sys.stderr.write(f"refused a connection: {error}\n")
        except BaseException:
            traceback.print_exc()
        finally:
            if joined:
                self._leave(joined)

    def _greeted(self, client: socket.socket) -> tuple[str, Handler | None]:
        kind, text, _ = _head(client)
        if kind == STOP:
            self.stop()
            _send(client, WELL)
            self._closed.wait(10)
            return "", None
        hello = _document(text)
        theirs = (hello.get("protocol"), hello.get("package"))
        if kind != HELLO or theirs != (PROTOCOL, self._package):
            _send(
                client,
                ERROR,
                f"vista: the shell's extension is of vista_sql {theirs[1]} (protocol {theirs[0]}), "
                f"the worker that runs is of {self._package} (protocol {PROTOCOL}): end that with "
                "`vista worker --stop`, begin the shell anew (`vista shell`, or `vista extension "
                "install` once more), and run the statement again",
            )
            return "", None
        name, database = hello.get("session"), hello.get("database")
        if not (isinstance(name, str) and re.fullmatch(r"[\w-]{1,80}", name)):
            raise HostError(f"{name!r} is no session's name")  # a folder is called by it
        if not isinstance(database, str) or "\0" in database:
            raise HostError(f"{database!r} is no database's path")
        with self._opening:
            shell, n = self._shells.get(name, (None, 0))
            shell = shell or self._open(name, database)
            self._shells[name] = (shell, n + 1)
        _send(client, WELL)
        return name, shell

    def _leave(self, name: str) -> None:
        with self._opening:
            shell, n = self._shells.pop(name, (None, 0))
            if shell is not None and n > 1:
                self._shells[name] = (shell, n - 1)
            elif shell is not None:
                shell.close()

    def _served(self, client: socket.socket, shell: Handler) -> None:
        kind, text, n_body = _head(client)
        if kind != CALL:
            raise HostError(f"a request of kind {kind} is not a call")
        try:
            body = _exactly(client, n_body)
        except MemoryError as error:
            _send(client, ERROR, self._sentence(error))
            return
        cancelled = threading.Event()
        with self._lock:
            self._running[client] = cancelled
            self._lock.notify_all()
        sentence, parts = "", None
        try:
            parts = _answer(shell, text, body, cancelled)
        except Exception as error:
            sentence = self._sentence(error)
        finally:
            with self._lock:
                del self._running[client]
                self._last_call = time.monotonic()
        _send(client, ERROR if parts is None else WELL, sentence, parts)

    def _sentence(self, error: Exception) -> str:
        if isinstance(error, VistaError):
            return str(error)
        traceback.print_exc()
        if isinstance(error, MemoryError | pa.ArrowMemoryError):
            return (
                f"the worker has no memory left ({error}); set VISTA_SQL_MEMORY_LIMIT to less, so "
                "that a plan keeps below it, or give batch_rows => …"
            )
        return (
            f"{type(error).__name__}: {error}; this is a fault of vista_sql: please report it with "
            f"the worker's log, {self._path.with_suffix('.log')}"
        )

    def _watch(self) -> None:
        """Cancel the calls whose clients have gone."""
        while True:
            with self._lock:
                while not self._running:
                    self._lock.wait()
                by_descriptor = ((c.fileno(), event) for c, event in self._running.items())
                running = {n: event for n, event in by_descriptor if n >= 0}  # -1: just closed
            watched = select.poll()
            for descriptor in running:
                watched.register(descriptor, select.POLLIN)
            gone = watched.poll(WATCH_SECONDS * 1000)
            for descriptor, _ in gone:
                running[descriptor].set()
            if gone:
                time.sleep(WATCH_SECONDS)  # they leave the table when their kernels notice


def _answer(
    shell: Handler, text: bytes, body: memoryview, cancelled: threading.Event
) -> list[columns.Part]:
    """Return the bytes of what a call returns."""
    request = _request(_document(text), body, cancelled)
    array, kind = shell.call(request)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if len(array) != request.rows:
        raise HostError(f"{request.function} returned {len(array)} of {request.rows} rows")
    return list(columns.write(array, kind))


def _request(document: Mapping[str, Any], body: memoryview, cancelled: threading.Event) -> Request:
    """Return the call that a document and its columns are.

    Raises:
        HostError: something of it is missing, or of another kind.
    """
    function, rows, folder = (document.get(name) for name in ("call", "rows", "folder"))
    environment = document.get("environment")
    if not (isinstance(function, str) and isinstance(folder, str) and "\0" not in folder):
        raise HostError(f"a request calls {function!r} in {folder!r}, and both must be names")
    if not isinstance(rows, int) or isinstance(rows, bool) or not 0 <= rows <= MOST_ROWS:
        raise HostError(f"a request has {rows!r} rows, and can have 0 to {MOST_ROWS:,}")
    if not isinstance(environment, dict) or not all(
        isinstance(value, str) for value in environment.values()
    ):
        raise HostError(f"a request's environment is {environment!r}, and must be texts by name")
    read = columns.read(body, document.get("types") or [], rows)
    return Request(function, rows, read, folder, environment, cancelled)


def stop(path: Path) -> bool:
    """Ask the worker at a socket to end; return whether there was one."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        _send(client, STOP)
        with suppress(EOFError, ConnectionError):
            _head(client)
            _head(client)  # until it hangs up, its socket gone
    return True


def _listen(path: Path) -> socket.socket:
    places.make_private(path.parent)
    listening = socket.socket(socket.AF_UNIX)
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            pass
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)  # of a worker that was killed
        else:
            raise HostError(f"a worker listens at {path} already: `vista worker --stop` ends it")
    earlier = os.umask(0o077)
    try:
        listening.bind(str(path))
    finally:
        os.umask(earlier)
    listening.listen(64)
    return listening


def _is_stranger(client: socket.socket) -> bool:
    """Return whether another user is at the other end; the folder keeps them out already."""
    if not hasattr(socket, "SO_PEERCRED"):
        return False
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return bool(struct.unpack("3i", credentials)[1] != os.geteuid())


def _head(client: socket.socket) -> tuple[int, bytes, int]:
    """Return what a frame begins with: its kind, its text, and how many bytes its body has.

    Raises:
        EOFError: the client has gone.
        HostError: what came is no frame.
    """
    magic, kind, n_text, n_body = FRAME.unpack(_exactly(client, FRAME.size))
    if magic != MAGIC or n_text > MOST_TEXT_BYTES or n_body > sys.maxsize:
        raise HostError(f"this is not a request: {magic!r}")
    return kind, bytes(_exactly(client, n_text)), n_body


def _exactly(client: socket.socket, n_bytes: int) -> memoryview:
    """Return the next bytes; memory is taken for the first of them, and for all when those came.

    Raises:
        EOFError: the client has gone.
        MemoryError: there is none for so many; all the same they were read.
    """
    at = 0
    try:
        buffer = np.empty(min(n_bytes, TRUSTED_BYTES), np.uint8).data
        at = _filled(client, buffer, 0)
        if at < n_bytes:
            whole = np.empty(n_bytes, np.uint8).data
            whole[:at] = buffer
            at = _filled(client, buffer := whole, at)
    except MemoryError:
        passed = bytearray(SENT_AT_ONCE)
        while at < n_bytes:  # a client that writes hears nothing
            at += _filled(client, memoryview(passed)[: n_bytes - at], 0)
        raise
    return buffer


def _filled(client: socket.socket, buffer: memoryview, at: int) -> int:
    """Fill a buffer from place `at` on; return its length."""
    while at < len(buffer):
        got = client.recv_into(buffer[at:])
        if not got:
            raise EOFError
        at += got
    return at


def _document(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HostError(f"a request's text is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise HostError("a request's text is not a JSON object")
    return document


def _send(
    client: socket.socket, kind: int, text: str = "", parts: list[columns.Part] | None = None
) -> None:
    encoded = text.encode()
    views = [memoryview(part).cast("B") for part in parts or ()]
    pending = bytearray(FRAME.pack(MAGIC, kind, len(encoded), sum(view.nbytes for view in views)))
    pending += encoded
    for view in views:
        if view.nbytes < SENT_AT_ONCE:
            pending += view
        if view.nbytes >= SENT_AT_ONCE or len(pending) >= SENT_AT_ONCE:
            client.sendall(pending)
            pending = bytearray()
        if view.nbytes >= SENT_AT_ONCE:
            client.sendall(view)
    client.sendall(pending)
