"""Bytes that images take while they are decoded → a turn for each: together they keep a budget."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

MAX_BYTES = 3 << 29
"""What one image may take: 2²⁸ pixels of RGB, half of that with transparency, fewer of an AVIF."""

SHARED_BYTES = 1 << 28
"""What images may take together; one that takes more is decoded alone."""


class Turns:
    """Lets images of a process be decoded at once while they fit; safe in any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = 0

    @contextmanager
    def held(self, n_bytes: int) -> Iterator[None]:
        """Wait until `n_bytes` fit beside what else is decoded, and hold them."""
        share = min(n_bytes, SHARED_BYTES)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + share <= SHARED_BYTES)
            self._taken += share
        try:
            yield
        finally:
            with self._changed:
                self._taken -= share
                self._changed.notify_all()


@cache
def turns() -> Turns:
    """Return the process's."""
    return Turns()
