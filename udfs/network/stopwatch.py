"""How long a network takes from cut to cut, as its own batches tell."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

FEWEST_ROWS = 4  # smaller batches tell more of the call than of the network
WARM_UP = 2  # the first batches trace and lay out weights
MOST_BATCHES = 64  # the latest ones count


class Stopwatch:
    """Batches as they are timed → seconds of one image between cuts; one thread runs a network."""

    def __init__(self) -> None:
        self._seen: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._seconds: defaultdict[tuple[str, str], deque[float]] = defaultdict(
            lambda: deque(maxlen=MOST_BATCHES)
        )

    @contextmanager
    def timing(self, start: str, stop: str, rows: int) -> Iterator[None]:
        """Enclose the computing of one cut from another for a batch of `rows` images."""
        began = time.perf_counter()
        yield
        spent = time.perf_counter() - began
        if rows < FEWEST_ROWS:
            return
        self._seen[start, stop] += 1
        if self._seen[start, stop] > WARM_UP:
            self._seconds[start, stop].append(spent / rows)

    def from_start(self, start: str) -> dict[str, float]:
        """Return the median seconds of one image from a cut to each that timed segments lead to."""
        reached = {start: 0.0}
        segments = {key: median(taken) for key, taken in list(self._seconds.items())}
        pending = [start]
        while pending:
            here = pending.pop()
            for (below, above), seconds in segments.items():
                if below == here and above not in reached:
                    reached[above] = reached[here] + seconds
                    pending.append(above)
        del reached[start]
        return reached
