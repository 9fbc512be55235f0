"""Bytes that images take on their way → a turn for each: together they keep a budget.

Two budgets of a process: of encoded bytes, from reading to decoding, and of what decoding takes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vista_sql.kernels import DECODING_BYTES, READ_BYTES
from vista_sql.once import once


class Turns:
    """Lets images of a process be decoded at once while they fit; safe in any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = 0

    @contextmanager
    def held(self, n_bytes: int, budget_bytes: int = DECODING_BYTES) -> Iterator[None]:
        """Wait until `n_bytes` fit beside what else is decoded, and hold them.

        Args:
            n_bytes: what an image takes; one that takes more than the budget is decoded alone.
            budget_bytes: what images may take together.
        """
        share = min(n_bytes, budget_bytes)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + share <= budget_bytes or not self._taken)
            self._taken += share
        try:
            yield
        finally:
            with self._changed:
                self._taken -= share
                self._changed.notify_all()


@once
def turns() -> Turns:
    """Return the process's."""
    return Turns()


class Dropped(Exception):
    """Nobody wants the image any more whose bytes are being read."""


class InFlight:
    """Encoded bytes between reading and decoding; safe in any thread.

    All of them keep a budget but for one holder at a time, which goes on beyond it: a thread that
    decodes, so that it never waits for what itself would make room for.
    """

    def __init__(self, budget_bytes: int = READ_BYTES) -> None:
        self.budget_bytes = budget_bytes
        self.changed = threading.Condition()
        self.held = 0
        self.by_holder: dict[object, int] = {}
        self.beyond: object | None = None  # who may go beyond the budget, while it holds any

    def share(self, holder: object | None = None) -> Share:
        """Return what one image holds: nothing yet.

        Args:
            holder: who decodes it; None: it is read ahead.
        """
        return Share(self, holder)


class Share:
    """What one image holds of the bytes in flight; it grows as they come."""

    def __init__(self, flight: InFlight, holder: object | None) -> None:
        self._flight, self._holder, self._is_dropped = flight, holder, False
        self.n_bytes = 0

    def grow(self, n_bytes: int) -> None:
        """Hold more, as soon as there is room, or the holder may go beyond it.

        Raises:
            Dropped: nobody wants it any more.
        """
        flight = self._flight
        with flight.changed:
            flight.changed.wait_for(lambda: self._is_dropped or self._fits(n_bytes))
            if self._is_dropped:
                raise Dropped
            self._add(n_bytes)
            if flight.held > flight.budget_bytes:
                flight.beyond = self._holder

    def _fits(self, n_bytes: int) -> bool:
        flight, holder = self._flight, self._holder
        if flight.held + n_bytes <= flight.budget_bytes:
            return True
        return holder is not None and (flight.beyond is None or flight.beyond is holder)

    def _add(self, n_bytes: int) -> None:
        flight = self._flight
        flight.held += n_bytes
        self.n_bytes += n_bytes
        self._count(n_bytes)

    def _count(self, n_bytes: int) -> None:
        """Count bytes for their holder, who is none once it holds nothing."""
        if self._holder is None:
            return
        flight = self._flight
        left = flight.by_holder.pop(self._holder, 0) + n_bytes
        if left:
            flight.by_holder[self._holder] = left
        elif flight.beyond is self._holder:
            flight.beyond = None

    def want(self, holder: object) -> None:
        """Say who waits for the image."""
        with self._flight.changed:
            self._holder = holder
            self._count(self.n_bytes)
            self._flight.changed.notify_all()

    def release(self) -> None:
        """Hold nothing any more, nor grow."""
        with self._flight.changed:
            self._add(-self.n_bytes)
            self._is_dropped = True
            self._flight.changed.notify_all()
