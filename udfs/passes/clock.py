"""Where the wall time of a run went: the network ran, or nothing did but waiting, and for what.

The network runs for one call at a time (`Runtime.inference`), while other calls read and decode. So
time counts as a stall only while some call waits and none infers; what was waited for is told by
the call whose wait ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Spent:
    """Seconds that threads spent on images: until their bytes were there, then on their pixels."""

    read: float = 0.0
    decode: float = 0.0


@dataclass(slots=True)
class Wait:
    """What a call waited for, told before its wait ends, in any unit; else the next one tells."""

    fetch: float = 0.0
    prep: float = 0.0
    rows: float = 0.0


class Clock:
    """The clock of one run; safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inferring = self._waiting = 0  # calls
        self._since = time.perf_counter()
        self._untold = 0.0  # seconds of waiting whose reason no call has told yet
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
            self._untold += now - self._since
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
        """Enclose waiting for a batch."""
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
                told = wait.fetch + wait.prep + wait.rows
                if told > 0:
                    self.fetch_stall_seconds += self._untold * (wait.fetch / told)
                    self.prep_stall_seconds += self._untold * (wait.prep / told)
                    self.rows_stall_seconds += self._untold * (wait.rows / told)
                    self._untold = 0.0
