"""Rows of a relation as they are fed: their numbers, and the vectors of their layer."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from vista_sql.errors import ModelError
from vista_sql.fed_runs import DATA
from vista_sql.machine import resources
from vista_sql.nearest.vectors import Array, Vectors
from vista_sql.neighbors.order import OTHERS, NearOrder
from vista_sql.train import hashing
from vista_sql.train.columns import is_layer, resolve
from vista_sql.train.rows import columns_of, matrix

log = logging.getLogger(__name__)

VECTORS_SHARE = 0.5  # of memory: the vectors; the search has the rest


class FedRows:
    """The rows of one relation."""

    def __init__(self) -> None:
        self.vectors = Vectors()
        self.n_fed = 0
        self.left_out: Counter[str] = Counter()  # rows by why
        self._numbers: list[Array] = []
        self._places: list[Array] = []
        self._digests: list[Array] = []

    @property
    def numbers(self) -> Array:
        """Of the rows that have a vector: (rows,) int64."""
        return np.concatenate([np.zeros(0, np.int64), *self._numbers])

    @property
    def places(self) -> Array:
        """Of these rows' vectors, among the distinct ones: (rows,) int64."""
        return np.concatenate([np.zeros(0, np.int64), *self._places])

    @property
    def digests(self) -> Array:
        """Of all rows, by number: (rows, 4) uint64, of bytes and of pixels; 0: not known."""
        return np.concatenate([np.zeros((0, 4), np.uint64), *self._digests])

    def add(
        self, n_rows: int, usable: Array, x: Array, hashes: Array | None, digests: Array | None
    ) -> int:
        """Take a batch, and return the number of its first row.

        Args:
            n_rows: of the batch.
            usable: (used,) int64: which of them have a vector.
            x: (used, values) float32, or (used · places, values).
            hashes: (used,) or (used · places,) uint64; None: equal vectors are not looked for.
            digests: (rows, 4) uint64; None: of no image.
        """
        first = self.n_fed
        self.n_fed += n_rows
        self._numbers.append(usable + first)
        if len(x):
            self._places.append(self.vectors.add(x, hashes))
        if digests is not None:
            self._digests.append(digests)
        return first


class Feeding:
    """What the runs of the three functions have in common: they take rows, and hold vectors."""

    gate, closed = "", False  # they read all rows

    def __init__(self, order: NearOrder) -> None:
        self.order = order
        self.memory_bytes = order.memory_bytes or resources.machine().memory_bytes // 4
        names = (DATA, OTHERS) if order.others else (DATA,)
        self.relations = {name: FedRows() for name in names}
        self._lock = threading.Lock()
        self._layer: str | None = None
        self._size: int | None = None

    def feed(self, rows: pa.Array | pa.ChunkedArray, relation: str = DATA) -> int:
        """Take a batch of rows, each a struct, and return the number of the first.

        Raises:
            ModelError: there is no layer, or several and none is named; or lists of several
                lengths, in one relation or in both.
            UnknownNameError: the layer that is named is not there.
        """
        batch = columns_of(rows)
        name = self._find(batch, relation)
        x, usable, size = matrix(name, batch[name], None)
        self._check_size(name, size, relation)
        left_out: Counter[str] = Counter()
        if not usable.all():
            left_out[f"{name!r} is NULL or not finite"] += int((~usable).sum())
        if x is None:
            x = np.zeros((len(usable), 0), np.float32)
        if self.order.metric == "cosine":
            nonzero = np.asarray((x != 0).any(axis=1))
            if not nonzero[usable].all():
                left_out[f"{name!r} is zero, which has no direction"] += int(
                    (usable & ~nonzero).sum()
                )
            usable = usable & nonzero
        used = np.flatnonzero(usable)
        x = self._vectors(x[used])
        hashes = hashing.hash_matrix(x) if x.size else np.zeros(len(x), np.uint64)
        digests = self._digests(batch)
        with self._lock:
            fed = self.relations[relation]
            fed.left_out.update(left_out)
            first = fed.add(len(usable), used, x, hashes, digests)
            held = sum(fed.vectors.memory_bytes for fed in self.relations.values())
            if held > self.memory_bytes * VECTORS_SHARE:
                self._spool()
        return first

    def _check_size(self, name: str, size: int | None, relation: str) -> None:
        """Check that a batch's lists are as long as those before; None: it has no list.

        Raises:
            ModelError: they are not.
        """
        if size is None:
            return
        with self._lock:
            self._size = self._size or size
            if size == self._size:
                return
        argument = DATA if relation == DATA else self.order.others
        of = f"the data and the {self.order.others}" if self.order.others else "all rows"
        raise ModelError(
            f"column {name!r} of the {argument} of {self.order.function} holds lists of {size} "
            f"values where others have {self._size}: {of} must be of one layer"
        )

    def _find(self, batch: Mapping[str, pa.Array], relation: str) -> str:
        """Return the column that is the layer.

        Raises:
            ModelError: there is none, or there are several and none is named.
            UnknownNameError: the one that is named is not there.
        """
        argument = DATA if relation == DATA else self.order.others
        where = f"the {argument} of {self.order.function}"
        layers = [name for name, column in batch.items() if is_layer(column.type)]
        if self.order.layer is not None:
            name = resolve(self.order.layer, batch, "layer", where)
            if name not in layers:
                raise ModelError(
                    f"column {name!r} of {where} has type {batch[name].type}: a layer is a list or "
                    "an array of FLOAT or DOUBLE"
                )
            return name
        if len(layers) > 1:
            raise ModelError(
                f"{where} has several layers, {', '.join(map(repr, layers))}: give layer => …, one "
                "of them"
            )
        if not layers:
            raise ModelError(
                f"{where} has no layer, a column that is a list or an array of FLOAT or DOUBLE: "
                f"its columns are {', '.join(map(repr, batch))}"
            )
        return layers[0]

    def _vectors(self, x: Array) -> Array:
        """Return the vectors (vectors, values) of rows (rows, values): one each; a -0.0 is 0.0."""
        return x + np.float32(0)

    def _digests(self, batch: Mapping[str, pa.Array]) -> Array | None:
        """Return the digests of a batch's images: (rows, 4) uint64, 0 where there are none."""
        if self.order.digests is None:
            return None
        column = batch[self.order.digests]
        parts = [part.fill_null(0).to_numpy(zero_copy_only=False) for part in column.flatten()]
        return np.stack(parts, axis=1).astype(np.uint64)

    def told(self, fed: Mapping[str, Sequence[int] | None] | None) -> dict[str, Array]:
        """Check that all rows arrived that were fed, end filling, and return the keys' ranks.

        Args:
            fed: of each relation the rank of each row's key, by the row's number.

        Returns:
            By relation (rows,) int64; rows of equal keys have equal ranks.

        Raises:
            ModelError: rows went missing, or none of those there are can be used.
        """
        ranks = {}
        for name, relation in self.relations.items():
            ranks[name] = np.array((fed or {}).get(name) or (), np.int64)
            if len(ranks[name]) != relation.n_fed:
                raise ModelError(
                    f"{len(ranks[name])} rows were sent to {self.order.function} and "
                    f"{relation.n_fed} came: run it again"
                )
            self._tell(name, relation)
            relation.vectors.seal()
        return ranks

    def _tell(self, name: str, relation: FedRows) -> None:
        """Say in the log which rows are left out.

        Raises:
            ModelError: all are.
        """
        total = relation.left_out.total()
        if not total:
            return
        whys = ", ".join(f"{why} in {n:,}" for why, n in relation.left_out.most_common())
        argument = DATA if name == DATA else self.order.others
        of = f"the {relation.n_fed:,} rows in {argument} of {self.order.function}"
        if total == relation.n_fed and self.order.digests is None:
            raise ModelError(f"nothing can be compared in any of {of}: {whys}")
        log.warning("%s of %s are left out: %s", f"{total:,}", of, whys)

    def spool(self) -> None:
        """Move the vectors out of memory."""
        with self._lock:
            self._spool()

    def _spool(self) -> None:
        for relation in self.relations.values():
            relation.vectors.spool()

    def close(self) -> None:
        """Free memory and disk."""
        for relation in self.relations.values():
            relation.vectors.close()
