"""All products of vectors with vectors, a block at a time: scores, larger the nearer two are.

Scores are the cosine, or for L2 -½ of the squared distance of the vectors, which are moved to their
mean and scaled to length 1 at most. They are float32, or float64 for a block that needs it, and
`error` bounds how far a score is off: by Higham & Mary, "A new approach to probabilistic rounding
error analysis" (SIAM J. Sci. Comput. 41, 2019), section 3, a sum of n products is off by more
than λ√n roundings with a probability of about 2·exp(-λ²/2), which is 2.5e-14 for λ = 8.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from vista_sql.machine.resources import cores
from vista_sql.nearest.blas import one_thread
from vista_sql.nearest.vectors import Array, Floats, Metric, Vectors, dots

DEVIATIONS = 8  # λ
MOST_ROWS = 2048  # of a block: its scores are 16 MiB, and the product as fast as one of all rows
STEP_VALUES = 1 << 16  # values that are prepared at a time in float64


class Products:
    """The scores of `queries` (of `data` itself where there are none) with `data`."""

    def __init__(
        self, data: Vectors, queries: Vectors | None, metric: Metric, memory_bytes: int
    ) -> None:
        """Read all vectors once.

        Args:
            data: sealed, at least one; no zero vectors with the metric 'cosine'.
            queries: likewise; None: the data's own, and each pair is computed once.
            metric: of the scores.
            memory_bytes: most memory that blocks may take.
        """
        self.data, self.metric = data, metric
        self.queries = data if queries is None else queries
        self.is_symmetric = queries is None
        self.rows = self._rows(memory_bytes)
        self._held = max(self.rows, memory_bytes // 2 // (4 * max(1, data.dims)))
        self._mean = np.zeros(data.dims)
        if metric == "l2":
            for start, stop in _steps(data, len(data)):
                self._mean += data.block(start, stop).sum(axis=0, dtype=np.float64)
            self._mean /= len(data)
        self._lengths = [self._lengths_of(v) for v in {id(v): v for v in self._both}.values()]
        longest = max(lengths.max(initial=0.0) for lengths in self._lengths)
        self._scale = 1 / longest if longest > 0 else 1.0

    @property
    def _both(self) -> tuple[Vectors, Vectors]:
        return self.queries, self.data

    def _rows(self, memory_bytes: int) -> int:
        """Return how many rows a block has: of each thread two of them, and five of scores."""
        rows, a_row = MOST_ROWS, 8 * self.data.dims
        while rows > 16 and cores() * rows * (a_row + 20 * rows) > memory_bytes // 2:
            rows //= 2
        return rows

    def _lengths_of(self, vectors: Vectors) -> Floats:
        """Return the length of each vector, from the mean: (vectors,) float64."""
        lengths = np.empty(len(vectors))
        for start, stop in _steps(vectors, len(vectors)):
            x = vectors.block(start, stop) - self._mean
            lengths[start:stop] = np.sqrt(dots(x, x))
        return lengths

    def error(self, dtype: type[np.float32] | type[np.float64]) -> Floats:
        """Return how far a score of each query may be off: (queries,) float64."""
        unit = float(np.finfo(dtype).eps) / 2
        bound = unit * (DEVIATIONS * np.sqrt(self.data.dims) + 8)
        if self.metric == "cosine":
            return np.full(len(self.queries), bound)
        return np.asarray(bound * (self._lengths[0] * self._scale + 1) ** 2 / 2)

    def _prepared(
        self, which: int, start: int, stop: int, dtype: type[np.float32] | type[np.float64]
    ) -> Array:
        """Return vectors (rows, values) whose products are scores, or with `_halves` are."""
        vectors, lengths = self._both[which], self._lengths[which if len(self._lengths) > 1 else 0]
        prepared = np.empty((stop - start, vectors.dims), dtype)
        for i, j in _steps(vectors, stop - start):
            x = vectors.block(start + i, start + j) - self._mean
            x *= (
                1 / lengths[start + i : start + j, None] if self.metric == "cosine" else self._scale
            )
            prepared[i:j] = x
        return prepared

    def _scores(self, left: Array, right: Array, out: Array | None = None) -> Array:
        scores = np.matmul(left, right.T, out=out)
        if self.metric == "l2":
            scores -= _halves(left)[:, None]
            scores -= _halves(right)[None, :]
        return scores

    def each(self, work: Callable[[int, int, Array], None]) -> None:
        """Compute all blocks, several at once.

        Args:
            work: takes the first query, the first vector of the data, and their scores, float32, of
                a block; of the data's own vectors only blocks on and above the diagonal. It is
                called from several threads; its scores are valid until it returns.
        """
        buffers: list[Array] = []

        def run(i: int, j: int, left: Array, right: Array) -> None:
            buffer = buffers.pop() if buffers else np.empty(self.rows**2, np.float32)
            out = buffer[: len(left) * len(right)].reshape(len(left), len(right))
            work(i, j, self._scores(left, right, out))
            buffers.append(buffer)

        running: deque[Future[None]] = deque()
        threads = cores()
        with one_thread(), ThreadPoolExecutor(threads, thread_name_prefix="vista-nearest") as pool:
            for block in self._blocks():
                if len(running) > threads:  # what is prepared ahead takes memory
                    running.popleft().result()
                running.append(pool.submit(run, *block))
            for one in running:
                one.result()

    def _blocks(self) -> Iterator[tuple[int, int, Array, Array]]:
        """Yield the first query and vector of each block, and what their scores are made of."""
        n, rows, held = len(self.data), self.rows, self._held // self.rows * self.rows
        for first in range(0, len(self.queries), held):
            end = min(first + held, len(self.queries))
            left = self._prepared(0, first, end, np.float32)
            for j in range(first if self.is_symmetric else 0, n, rows):
                stop = min(j + rows, n)
                if self.is_symmetric and stop <= end:
                    right = left[j - first : stop - first]
                else:
                    right = self._prepared(1, j, stop, np.float32)
                for i in range(first, end, rows):
                    if self.is_symmetric and j < i:
                        break
                    yield i, j, left[i - first : i - first + rows], right

    def precise(self, i: int, j: int, shape: tuple[int, ...]) -> Floats:
        """Return a block's scores in float64, where those of float32 are too close."""
        left = self._prepared(0, i, i + shape[0], np.float64)
        right = self._prepared(1, j, j + shape[1], np.float64)
        return self._scores(left, right)

    def score(self, distance: float) -> float:
        """Return the score that a distance is."""
        if self.metric == "cosine":
            return 1 - distance
        return -((distance * self._scale) ** 2) / 2


def _halves(x: Array) -> Array:
    """Return half of each row's square (rows,), summed in float64."""
    wide = x.astype(np.float64, copy=False)
    return np.asarray((dots(wide, wide) / 2).astype(x.dtype))


def _steps(vectors: Vectors, n: int) -> Iterator[tuple[int, int]]:
    """Yield parts of `n` rows, from … to before …, that are few enough for float64."""
    step = max(1, STEP_VALUES // max(1, vectors.dims))
    for start in range(0, n, step):
        yield start, min(start + step, n)
