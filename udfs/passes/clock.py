"""Where the wall time of a run went: the network ran, or nothing did but waiting, and for what.

The network runs for one call at a time (`Runtime.inference`), while other calls read and decode. So
time counts as a stall only while some call waits and none infers; the call whose wait ends says
what it waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct


class Wait(Struct):
    """What one wait was for, as parts in any unit; the caller fills it in before the wait ends.

    Where all parts are 0 the time is attributed by the next wait that has any.
    """

    fetch: float = 0.0  # bytes of images
    prep: float = 0.0  # their pixels
    rows: float = 0.0  # the engine's rows


class Clock:
    """The clock of one run; safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inferring = self._waiting = 0  # calls
        self._since = time.perf_counter()
        self._unattributed = 0.0  # seconds of waits that did not say what for
        self.infer_seconds = 0.0
        self.fetch_stall_seconds = 0.0  # bytes of images were not there
        self.prep_stall_seconds = 0.0  # bytes were there, pixels were not
        self.rows_stall_seconds = 0.0  # the engine had no rows yet

    def _pass(self) -> None:
        """Account for the time since the last change; the lock is held."""
        now = time.perf_counter()
        if self._inferring:
            self.infer_seconds += now - self._since
        elif self._waiting:
            self._unattributed += now - self._since
        self._since = now

    @contextmanager
    def inferring(self) -> Iterator[None]:
        """Enclose a pass of the network."""
        with self._lock:
            self._pass()
            self._inferring += 1
        try:
            yield
        finally:
            with self._lock:
                self._pass()
                self._inferring -= 1

    @contextmanager
    def waiting(self) -> Iterator[Wait]:
        """Enclose waiting for a batch; the caller says on the yielded `Wait` what for."""
        wait = Wait()
        with self._lock:
            self._pass()
            self._waiting += 1
        try:
            yield wait
        finally:
            with self._lock:
                self._pass()
                self._waiting -= 1
                parts = wait.fetch + wait.prep + wait.rows
                if parts > 0:
                    self.fetch_stall_seconds += self._unattributed * (wait.fetch / parts)
                    self.prep_stall_seconds += self._unattributed * (wait.prep / parts)
                    self.rows_stall_seconds += self._unattributed * (wait.rows / parts)
                    self._unattributed = 0.0
