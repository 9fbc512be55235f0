"""Sums over all rows on several cores, the same to the last bit on any number of them.

Chunk i belongs to lane i mod LANES; a lane adds its chunks in order, and lanes are added in order.
Each core works on whole chunks with BLAS on one thread: threads within a product wait for each
other on every chunk, which costs a factor of ten where another process has one of the cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from vista_sql.machine.resources import cores
from vista_sql.nearest.blas import one_thread
from vista_sql.train.chunks import Chunk, Layout

T = TypeVar("T")

LANES = 4  # memory bandwidth is used up by then; each lane has its own sums
SMALL_VALUES = 1 << 18  # a pass over fewer is over before threads have begun


class Chunked(Protocol):
    """Sealed rows that are handed out chunk by chunk."""

    n_rows: int
    layout: Layout

    @property
    def spooled(self) -> bool:
        """Whether they are on disk, where only one reader is quick."""

    @property
    def n_chunks(self) -> int:
        """How many chunks there are."""

    def chunk(self, i: int) -> Chunk:
        """Return the i-th, of rows in memory; for several threads at once."""

    def chunks(self) -> Iterator[Chunk]:
        """Yield all in their order."""


def accumulate(rows: Chunked, start: Callable[[], T], add: Callable[[T, Chunk], None]) -> list[T]:
    """Return LANES partial results: `add(result, chunk)` for each chunk of the lane.

    Args:
        rows: sealed.
        start: makes an empty result.
        add: adds a chunk to a result in place; runs in several threads, but in one for a result.
    """
    results = [start() for _ in range(LANES)]
    with one_thread():
        if rows.spooled or rows.n_rows * rows.layout.width <= SMALL_VALUES or cores() == 1:
            for i, chunk in enumerate(rows.chunks()):
                add(results[i % LANES], chunk)
            return results

        n_chunks = rows.n_chunks

        def run(lane: int) -> None:
            for i in range(lane, n_chunks, LANES):
                add(results[lane], rows.chunk(i))

        with ThreadPoolExecutor(min(LANES, cores()), thread_name_prefix="vista-train") as pool:
            for future in [pool.submit(run, lane) for lane in range(LANES)]:
                future.result()
    return results
