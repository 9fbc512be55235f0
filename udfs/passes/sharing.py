"""Hand results from one call to another, so that an image that occurs in several is inferred once.

Engines cut a stream into calls and make several at once. Two ways lead from call to call: what an
active call still wants is given to it the moment another call has inferred it, and the results of
the latest images outlive their call, up to a number of bytes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeAlias

import numpy as np

from vista_sql.kernels import RECENT_BYTES

EDGE_BYTES = 16 << 20  # results of each call's first and last image, where sorted streams repeat

Vectors: TypeAlias = Sequence[np.ndarray]
"""One image's results, a float32 vector per layer."""
Wanted: TypeAlias = dict[Hashable, Vectors]
"""What one active call was given by others."""


class Recent:
    """The latest results up to a number of bytes; not safe in several threads by itself."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self._bytes = limit_bytes, 0
        self._kept: OrderedDict[Hashable, Vectors] = OrderedDict()

    def get(self, key: Hashable) -> Vectors | None:
        """Return the vectors kept under `key`, or None."""
        return self._kept.get(key)

    def put(self, key: Hashable, vectors: Vectors) -> None:
        """Keep copies of `vectors`; the oldest go where they do not fit."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return
        self._kept[key] = tuple(vector.copy() for vector in vectors)
        self._bytes += sum(vector.nbytes for vector in vectors)
        while self._bytes > self._limit:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= sum(vector.nbytes for vector in dropped)


class Sharing:
    """Results on their way from call to call; safe in any thread."""

    def __init__(self, recent_bytes: int = RECENT_BYTES, edge_bytes: int = EDGE_BYTES) -> None:
        self._lock = threading.Lock()
        self._recent, self._edges = Recent(recent_bytes), Recent(edge_bytes)
        self._wanted: defaultdict[Hashable, list[Wanted]] = defaultdict(list)

    def join(self, keys: Iterable[Hashable]) -> Wanted:
        """Begin a call that wants the results of `keys`; returns what is known already.

        Others add to the returned dictionary until `leave`.
        """
        given: Wanted = {}
        with self._lock:
            for key in keys:
                known = self._recent.get(key) or self._edges.get(key)
                if known is not None:
                    given[key] = known
                else:
                    self._wanted[key].append(given)
        return given

    def leave(self, keys: Iterable[Hashable], given: Wanted) -> None:
        """End the call that `join` began with the same `keys`."""
        with self._lock:
            for key in keys:
                waiting = self._wanted.get(key)
                if waiting is None:
                    continue
                waiting[:] = [other for other in waiting if other is not given]
                if not waiting:
                    del self._wanted[key]

    def publish(
        self, keys: Sequence[Hashable], matrices: Sequence[np.ndarray], edges: set[Hashable]
    ) -> None:
        """Hand on the results of one batch.

        Args:
            keys: of the images, in the order of the batch; those of `edges` are kept longer.
            matrices: float32 (images, values), one per layer; not changed from now on.
            edges: the keys of the call's first and last image.
        """
        with self._lock:
            for row, key in enumerate(keys):
                vectors = tuple(matrix[row] for matrix in matrices)
                (self._edges if key in edges else self._recent).put(key, vectors)
                for given in self._wanted.pop(key, ()):
                    given[key] = vectors
