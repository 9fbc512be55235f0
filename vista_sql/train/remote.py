"""Rows that stay where a cluster keeps them: passes travel to them, and their sums come here.

A pass is an `Order`, which `answers` carries out over a part's records; what parts answer is
joined in the parts' order. So features come here only as sums.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from vista_sql.train.chunks import Array, Chunk, Layout
from vista_sql.train.encoded import Codes, Decode, Summary, reader_of, record_type
from vista_sql.train.ledger import Ledger
from vista_sql.train.mistakes import Keys
from vista_sql.train.passes import Rows, Summing
from vista_sql.train.rows import RowReader
from vista_sql.train.spec import TrainSpec

T = TypeVar("T")


class There(Protocol):
    """Where rows are kept: a cluster."""

    @property
    def bytes_received(self) -> int:
        """How much came here, of anything."""

    def encoded(self, spec: TrainSpec) -> Iterator[Summary]:
        """Have all rows encoded and kept, and yield what is told of them."""

    def answers(self, order: Order) -> Iterator[Any]:
        """Yield what each part that has rows answers to an order, in the parts' order."""

    def records(self) -> Iterator[bytes]:
        """Yield all records, some at a time."""

    def keys(self, hashes: Sequence[int]) -> dict[int, str]:
        """Return row hash → key of those rows whose key is not NULL."""

    def fitted(self, examples: Any, problem: Any) -> Any:
        """Return the `Solution` of a `Problem` over `Examples`, by the cluster's own trainer."""

    def close(self) -> None:
        """Let go of the rows."""


class Order(Struct, frozen=True):
    """A pass that travels: over which rows, and what it does."""

    rows: RemoteRows
    summing: Summing[Any] | None  # None: `function` says something of each chunk
    function: Callable[[Chunk], Any] | None = None


def answers(order: Order, parts: Iterable[bytes | memoryview]) -> Iterator[Any]:
    """Yield what a part answers: its sum, or (bare chunk, result) of each of its chunks."""
    if order.summing is None:
        for chunk in _chunks(order, parts):
            bare = Chunk(chunk.hash, chunk.unit, chunk.code, np.zeros((len(chunk), 0)), ())
            yield bare, order.function(chunk) if order.function is not None else None
        return
    total, n = order.summing.start(), 0
    for chunk in _chunks(order, parts):
        order.summing.add(total, chunk)
        n += len(chunk)
    if n:
        yield total


def _chunks(order: Order, parts: Iterable[bytes | memoryview]) -> Iterator[Chunk]:
    for part in parts:
        yield from order.rows.chunks_of(part)


class RemoteKeys(Keys):
    """The keys of rows elsewhere, looked up when they are wanted."""

    def __init__(self, there: There) -> None:
        super().__init__()
        self._there = there

    def of(self, wanted: list[int]) -> dict[int, str]:
        """Return row hash → key of those wanted rows whose key is not NULL."""
        return self._there.keys(wanted) if wanted else {}


class Told(Struct, frozen=True):
    """All rows as a training knows them that were encoded elsewhere."""

    reader: RowReader
    ledger: Ledger
    hashes: Array  # (rows,) uint64
    decode: Decode

    @classmethod
    def of(cls, summary: Summary, spec: TrainSpec, there: There) -> Told:
        """Return what a summary of all rows says.

        Raises:
            ModelError: labels or texts have too many values.
        """
        reader, ledger = reader_of(summary.types, spec), Ledger(spec.folds, spec.test_fraction)
        reader.sizes, reader.skipped = summary.sizes, summary.skipped
        reader.reason, reader.keys = summary.reason, RemoteKeys(there)
        codes = [reader.codes.setdefault(v, len(reader.codes)) for v in summary.labels.values()]
        reader.check_classes()
        labels, texts = Codes.of(summary.labels, codes), []
        for name in reader.columns.texts:
            values = summary.texts.get(name, {})
            reader.texts[name] = {value: code for code, value in enumerate(values.values())}
            reader.check_texts(name)
            texts.append(Codes.of(values))
        for hashes, unit, label, images in summary.ledger:
            bare = Chunk(hashes, unit, labels(label), np.zeros((len(unit), 0)), ())
            ledger.add(bare, images)
        hashes = np.concatenate([np.zeros(0, np.uint64), *(of[0] for of in summary.ledger)])
        decode = Decode(
            record_type(reader.columns, reader.sizes, fills=reader.fills),
            len(reader.columns.layers),
            labels,
            tuple(texts),
            Ledger(spec.folds, spec.test_fraction),
            Codes.of(()),
            np.zeros(0),
        )
        return cls(reader, ledger, hashes, decode)

    @property
    def n_bytes(self) -> int:
        """What all records take."""
        return len(self.hashes) * self.decode.record_type.itemsize


class RemoteRows(Rows):
    """The rows of one side of a split, where a cluster keeps them."""

    def __init__(self, layout: Layout, there: There, decode: Decode, side: int) -> None:
        """Take the rows of a side.

        Args:
            layout: of the rows as they are stored.
            there: where they are.
            decode: makes chunks of their records.
            side: 0, that trains, or 1, that tests.
        """
        super().__init__(layout)
        self._there: There | None = there
        self.decode, self._side = decode, side
        self._selected: tuple[Array, ...] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels to the rows: all but the way to them."""
        return {**self.__dict__, "_there": None}

    @property
    def there(self) -> There:
        """Where the rows are."""
        if self._there is None:
            raise RuntimeError("the rows are here, and nothing can be asked elsewhere")
        return self._there

    def seal(self, codes: Array) -> None:
        """Say which class each code is; see `Rows.seal`."""
        self._codes = codes

    def total(self, summing: Summing[T]) -> T:
        """Return what one pass sums over all rows, part by part in their order."""
        total: T | None = None
        for part in self.there.answers(Order(self, summing)):
            total = part if total is None else summing.join(total, part)
        return summing.start() if total is None else total

    def mapped(self, function: Callable[[Chunk], T]) -> Iterator[tuple[Chunk, T]]:
        """Yield all rows, without their features, with what a function says of each chunk."""
        yield from self.there.answers(Order(self, None, function))

    def first(self, n: int, layers: Sequence[int]) -> Chunk:
        """Return the n rows of the least hashes; see `Rows.first`."""
        found = self.total(_First(n, tuple(layers)))
        if found:
            return found[0]
        sizes = [self.layout.layer_sizes[layer] for layer in layers]
        empty = tuple(np.zeros((0, size), self.dtype) for size in sizes)
        none = np.zeros(0)
        return Chunk(none.astype(np.uint64), none, none.astype(np.int64), np.zeros((0, 0)), empty)

    def select(self, features: Sequence[Array], memory_bytes: int) -> RemoteRows:
        """Return these rows with some of the layers' features; they stay where they are."""
        del memory_bytes
        other = copy.copy(self)
        other._there, other._selected = self._there, tuple(features)
        other.layout = Layout(self.layout.n_structured, tuple(map(len, features)))
        return other

    def close(self) -> None:
        """Change nothing: both sides and all selections are of the same rows."""

    def chunks_of(self, part: bytes | memoryview) -> Iterator[Chunk]:
        """Yield the rows of records that are of this side, as passes see them."""
        size = self.decode.record_type.itemsize * self.layout.chunk_rows
        for start in range(0, len(part), size):
            rows = self.decode.side(part[start : start + size], self._side)
            layers = rows.layers
            if self._selected is not None:
                layers = tuple(self._columns(layers, places) for places in self._selected)
            if len(rows):
                yield Chunk(
                    rows.hash,
                    rows.unit,
                    self._codes[rows.code],
                    self._structured(rows.structured),
                    tuple(layer.astype(self.dtype, copy=False) for layer in layers),
                )


class _First(Struct, frozen=True):
    """A pass for the rows of the least hashes; a sum is a list of one chunk, or empty."""

    n: int
    layers: tuple[int, ...]

    def start(self) -> list[Chunk]:
        return []

    def add(self, total: list[Chunk], chunk: Chunk) -> None:
        least = chunk.take(np.argsort(chunk.hash, kind="stable")[: self.n])
        layers = tuple(least.layers[layer] for layer in self.layers)
        rows = Chunk(least.hash, least.unit, least.code, np.zeros((len(least), 0)), layers)
        total[:] = self.join(total, [rows])

    def join(self, total: list[Chunk], other: list[Chunk]) -> list[Chunk]:
        if not total or not other:
            return total or other
        (one,), (two,) = total, other
        whole = Chunk(
            np.concatenate([one.hash, two.hash]),
            np.concatenate([one.unit, two.unit]),
            np.concatenate([one.code, two.code]),
            np.concatenate([one.structured, two.structured]),
            tuple(map(np.concatenate, zip(one.layers, two.layers, strict=True))),
        )
        return [whole.take(np.argsort(whole.hash, kind="stable")[: self.n])]


class RemoteSides:
    """The two sides of the split of rows elsewhere; see `sides.Split`."""

    def __init__(self, told: Told, there: There) -> None:
        """Take all rows."""
        self._there = there
        layout = told.reader.layout
        self.train, self.test = (RemoteRows(layout, there, told.decode, side) for side in (0, 1))
        self._count(told.ledger)

    def _count(self, ledger: Ledger) -> None:
        counts = ledger.counts()
        tests = 0 if ledger.folds else sum(n for (side, _), n in counts.items() if side == 1)
        self.train.n_rows, self.test.n_rows = sum(counts.values()) - tests, tests

    def stratify(self, ledger: Ledger) -> None:
        """Move rows of small classes so that each class has its share of either side."""
        places = ledger.stratify()
        moved, units = Codes.of(places), np.array(list(places.values()), np.float64)
        for rows in (self.train, self.test):
            rows.decode = replace(rows.decode, moved=moved, places=units)
        self._count(ledger)

    def spool(self) -> None:
        """Change nothing: the rows are not here."""

    def close(self) -> None:
        """Let go of the rows."""
        self._there.close()
