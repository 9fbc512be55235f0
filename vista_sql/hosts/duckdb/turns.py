"""Threads that share a connection take turns: DuckDB refuses a statement while another is read."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct, field

from vista_sql.errors import HostError

IDLE_SECONDS = 60.0
"""So long threads wait for a stream of which nobody reads: it may never be read to its end."""


class Streaming(Struct, eq=False):
    """Rows that are being read from a connection, a batch at a time, in whichever thread asks."""

    thread: int = field(default_factory=threading.get_ident)  # which read last
    read: float = field(default_factory=time.monotonic)  # when


class Turns:
    """Whose turn it is on one connection; a thread's own turns may stand within each other."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._thread: int | None = None
        self._depth = 0
        self._streaming: Streaming | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Enclose a statement: other threads wait, and so does this one for their streams.

        Raises:
            HostError: this thread itself has a stream open, or nobody reads on in another's; or the
                connection is of the process that this one was forked from.
        """
        refuse_other_process(self._process)
        self._take(None)
        try:
            yield
        finally:
            self._give()

    @contextmanager
    def stream(self) -> Iterator[Streaming]:
        """Enclose the reading of a stream, from before its first batch to its end."""
        with self.turn():
            streaming = self._streaming = Streaming()
        try:
            yield streaming
        finally:
            with self._changed:
                self._streaming = None
                self._changed.notify_all()

    @contextmanager
    def batch(self, streaming: Streaming) -> Iterator[None]:
        """Enclose the reading of one batch of a stream."""
        self._take(streaming)
        streaming.thread = threading.get_ident()
        try:
            yield
        finally:
            streaming.read = time.monotonic()
            self._give()

    @contextmanager
    def turn_if_free(self) -> Iterator[bool]:
        """Enclose what may as well be done later; yields whether it can be done now.

        Never where this thread has the turn: Python drops objects in the middle of anything.
        """
        with self._changed:
            is_free = self._thread is None and self._streaming is None
            if is_free:
                self._thread, self._depth = threading.get_ident(), 1
        try:
            yield is_free
        finally:
            if is_free:
                self._give()

    def _take(self, streaming: Streaming | None) -> None:
        own = threading.get_ident()
        with self._changed:
            while self._thread != own:
                others = self._streaming if self._streaming is not streaming else None
                if self._thread is None and others is None:
                    self._thread = own
                    break
                if self._thread is None and others is not None:
                    idle = time.monotonic() - others.read
                    if others.thread == own or idle > IDLE_SECONDS:
                        raise HostError(
                            "the rows of another statement are being read from this connection: "
                            "read them to the end, keep them with .arrow(), or run this one on a "
                            "session of its own, db.cursor()"
                        )
                self._changed.wait(1.0)
            self._depth += 1

    def _give(self) -> None:
        with self._changed:
            self._depth -= 1
            if not self._depth:
                self._thread = None
                self._changed.notify_all()


def refuse_other_process(process_id: int) -> None:
    """Refuse what belongs to the process that this one was forked from.

    Raises:
        HostError: it does; DuckDB's threads and ours did not cross the fork, and calls would hang.
    """
    if process_id != os.getpid():
        raise HostError(
            f"the connection was opened in process {process_id}, from which this one was forked, "
            "and cannot be used in it: call vista_sql.connect() here, or start processes with "
            "multiprocessing.get_context('spawn')"
        )
