"""Hand results from one call to another, so that an image that occurs in several is inferred once.

Engines cut a stream into calls and make several at once. Two ways lead from call to call: what an
active call still wants is given to it the moment another call has inferred it, and the results of
the latest images outlive their call, up to a number of bytes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np

from vista_sql.kernels import RECENT_BYTES

EDGE_BYTES = 16 << 20  # results of each call's first and last image, where sorted streams repeat

Vectors: TypeAlias = Sequence[np.ndarray]
"""One image's results, a float32 vector per layer."""
Given: TypeAlias = dict[Hashable, Vectors]
"""What one active call was given by others and has not taken yet."""


class Recent:
    """The latest results up to a number of bytes, one at least; not safe in several threads."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes, self._bytes = limit_bytes, 0
        self._vectors: OrderedDict[Hashable, Vectors] = OrderedDict()

    def get(self, key: Hashable) -> Vectors | None:
        """Return the vectors that were put under `key`, or None."""
        return self._vectors.get(key)

    def put(self, key: Hashable, vectors: Vectors) -> None:
        """Hold copies of `vectors`; older ones go where they do not fit."""
        if key in self._vectors:
            self._vectors.move_to_end(key)
            return
        self._vectors[key] = tuple(vector.copy() for vector in vectors)
        self._bytes += sum(vector.nbytes for vector in vectors)
        while self._bytes > self._limit_bytes and len(self._vectors) > 1:
            _, dropped = self._vectors.popitem(last=False)
            self._bytes -= sum(vector.nbytes for vector in dropped)


class Sharing:
    """Results on their way from call to call; safe in any thread."""

    def __init__(self, recent_bytes: int = RECENT_BYTES, edge_bytes: int = EDGE_BYTES) -> None:
        self._lock = threading.Lock()
        self._recent, self._edges = Recent(recent_bytes), Recent(edge_bytes)
        self._wanted: defaultdict[Hashable, list[Given]] = defaultdict(list)

    @contextmanager
    def exchange(self, keys: Sequence[Hashable], last: int) -> Iterator[Exchange]:
        """Enclose a call that wants the results of some images.

        Args:
            keys: of the call's images, by number; calls with equal keys want equal results.
            last: the image of the call's last row. A sorted stream goes on with it in the next
                call: its results are held longer, as those of the first image.
        """
        given = self._join(keys)
        edges = {keys[0], keys[last]} if keys else set()
        try:
            yield Exchange(self, keys, edges, given)
        finally:
            self._leave(keys, given)

    def _join(self, keys: Iterable[Hashable]) -> Given:
        """Begin a call; returns what is known already, others add to it until `_leave`."""
        given: Given = {}
        with self._lock:
            for key in keys:
                known = self._recent.get(key) or self._edges.get(key)
                if known is not None:
                    given[key] = known
                else:
                    self._wanted[key].append(given)
        return given

    def _leave(self, keys: Iterable[Hashable], given: Given) -> None:
        """End the call that `_join` began with the same `keys`."""
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
            keys: of the images, in the order of the batch; those of `edges` are held longer.
            matrices: float32 (images, values), one per layer; not changed from now on.
            edges: the keys of the call's first and last image.
        """
        with self._lock:
            for row, key in enumerate(keys):
                vectors = tuple(matrix[row] for matrix in matrices)
                (self._edges if key in edges else self._recent).put(key, vectors)
                for given in self._wanted.pop(key, ()):
                    given[key] = vectors


class Exchange:
    """One call's end of `Sharing`: by the numbers of its images."""

    def __init__(
        self, sharing: Sharing, keys: Sequence[Hashable], edges: set[Hashable], given: Given
    ) -> None:
        self._sharing, self._keys, self._edges, self._given = sharing, keys, edges, given

    def take(self, image: int) -> Vectors | None:
        """Return what another call inferred for an image, once; None: nothing so far."""
        return self._given.pop(self._keys[image], None)

    def publish(self, batch: Sequence[int], matrices: Sequence[np.ndarray]) -> None:
        """Hand the results of images on to other calls, float32 (images, values) per layer."""
        keys = [self._keys[image] for image in batch]
        self._sharing.publish(keys, matrices, self._edges)
        for key in keys:  # ours, so not a gift
            self._given.pop(key, None)
