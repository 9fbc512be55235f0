"""Batches of rows → records of fixed width and what is told of them; records → rows again.

So a cluster keeps the rows of a training: labels and texts stand in a record by their hashes, as
parts of the rows cannot agree on codes. Told are 32 bytes of each row (hash, place, label, image),
and what values labels and texts have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec import Struct, field

from vista_sql import train
from vista_sql.errors import VistaError
from vista_sql.train import hashing
from vista_sql.train.chunks import Array, Chunk
from vista_sql.train.columns import Columns, choose
from vista_sql.train.ledger import Ledger
from vista_sql.train.mistakes import Keys
from vista_sql.train.rows import RowReader, Skip, check_size
from vista_sql.train.spec import TrainSpec


class Piece(Struct, frozen=True):
    """Some encoded rows, and what is told of them."""

    hashes: Array  # (rows,) uint64
    records: Array  # (rows,) of `record_type`
    keys: pa.Array | None  # (rows,) text; None: there is no key, or none that is text
    summary: Summary


class Summary(Struct):
    """What is told of some rows, or of those in several parts."""

    types: Mapping[str, pa.DataType]
    n_fed: int = 0
    sizes: dict[str, int] = field(default_factory=dict)  # of layers
    skipped: Counter[Skip] = field(default_factory=Counter)
    reason: str | None = None
    labels: dict[int, Any] = field(default_factory=dict)  # hash → value
    texts: dict[str, dict[int, str | None]] = field(default_factory=dict)  # by column
    ledger: list[tuple[Array, Array, Array, Array | None]] = field(default_factory=list)
    """Hashes, places, labels' hashes and images' hashes of rows, (rows,) each."""
    error: VistaError | None = None


def record_type(columns: Columns, sizes: Mapping[str, int], *, fills: bool) -> np.dtype[np.void]:
    """Return the type of a record: hash, unit, label, numbers, texts, and a field per layer."""
    n_dense = len(columns.numbers) * (2 if fills else 1)
    layers = [(f"layer{i}", "<f4", (sizes[name],)) for i, name in enumerate(columns.layers)]
    return np.dtype(
        [
            ("hash", "<u8"),
            ("unit", "<f8"),
            ("label", "<u8"),
            ("numbers", "<f8", (n_dense,)),
            ("texts", "<u8", (len(columns.texts),)),
            *layers,
        ]
    )


class _KeysOfBatch(Keys):
    """Keys of the batch that is being read."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: pa.Array | None = None

    def add(self, hashes: Array, keys: pa.Array) -> None:
        """Take the keys of a batch's usable rows."""
        try:
            self.texts = keys.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            self.texts = None


def encoded(spec: TrainSpec, batches: Iterable[dict[str, pa.Array]]) -> Iterator[Piece]:
    """Yield a part's rows encoded, a batch at a time; an error of ours ends it, and is told."""
    reader: RowReader | None = None
    labels, texts = np.zeros(0, np.uint64), dict[str, Array]()
    for batch in batches:
        types = {name: column.type for name, column in batch.items()}
        summary = Summary(types, n_fed=len(next(iter(batch.values()))))
        nothing = Piece(np.zeros(0, np.uint64), np.zeros(0, np.uint8), None, summary)
        try:
            reader = reader or reader_of(types, spec)
            keys = reader.keys = _KeysOfBatch()
            reader.skipped, reader.reason = Counter(), None
            read = reader.read(batch)
        except VistaError as error:
            summary.error = error
            yield nothing
            return
        summary.sizes, summary.skipped = dict(reader.sizes), reader.skipped
        summary.reason = reader.reason
        if read is None:
            yield nothing
            continue
        (chunk, images), columns = read, reader.columns
        kind = pa.float64() if reader.of_numbers else _plain(types[columns.label])
        labels, new = _hashed(labels, reader.codes, kind)
        summary.labels = new
        n_dense = reader.layout.n_structured - len(columns.texts)
        for name in columns.texts:
            known = texts.get(name, np.zeros(0, np.uint64))
            texts[name], summary.texts[name] = _hashed(known, reader.texts[name], pa.large_string())
        records = np.empty(len(chunk), record_type(columns, reader.sizes, fills=reader.fills))
        records["hash"], records["unit"] = chunk.hash, chunk.unit
        records["label"] = labels[chunk.code]
        records["numbers"] = chunk.structured[:, :n_dense]
        for i, name in enumerate(columns.texts):
            records["texts"][:, i] = texts[name][chunk.structured[:, n_dense + i].astype(np.int64)]
        for i, layer in enumerate(chunk.layers):
            records[f"layer{i}"] = layer
        summary.ledger = [(chunk.hash, chunk.unit, records["label"].copy(), images)]
        yield Piece(chunk.hash, records, keys.texts, summary)


def reader_of(types: Mapping[str, pa.DataType], spec: TrainSpec) -> RowReader:
    """Return what reads rows of some types for a training; `choose` has the errors."""
    of_numbers = train.load(spec.trainer).learns == "numbers"
    columns = choose(types, spec)
    return RowReader(columns, spec.seed, fills=spec.missing == "mean", of_numbers=of_numbers)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _hashed(
    known: Array, codes: Mapping[Any, int], kind: pa.DataType
) -> tuple[Array, dict[int, Any]]:
    """Return the hashes of values by their codes, and hash → value of those not yet known."""
    new = list(islice(codes, len(known), None))
    hashes = hashing.hash_column(pa.array(new, kind))
    return np.concatenate([known, hashes]), dict(zip(hashes.tolist(), new, strict=True))


def merged(summaries: Iterable[Summary]) -> Summary | None:
    """Return what is told of all rows; None: there are none.

    Raises:
        VistaError: what an encoder found.
    """
    whole: Summary | None = None
    for told in summaries:
        if told.error is not None:
            raise told.error
        if whole is None:
            whole = told
            continue
        whole.n_fed += told.n_fed
        whole.skipped.update(told.skipped)
        whole.reason = whole.reason or told.reason
        whole.labels |= {key: v for key, v in told.labels.items() if key not in whole.labels}
        for name, values in told.texts.items():
            whole.texts.setdefault(name, {}).update(values)
        whole.ledger += told.ledger
        for name, size in told.sizes.items():
            check_size(name, whole.sizes.setdefault(name, size), size)
    return whole


class Codes(Struct, frozen=True):
    """Hash → code, for arrays of hashes."""

    hashes: Array  # (values,) uint64, ascending
    codes: Array  # (values,) int64

    @classmethod
    def of(cls, hashes: Iterable[int], codes: Iterable[int] | None = None) -> Codes:
        """Return them for hashes; without codes these are 0, 1, … in their order."""
        keys = np.array(list(hashes), np.uint64)
        values = np.arange(len(keys)) if codes is None else np.array(list(codes), np.int64)
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], values[order])

    def __call__(self, hashes: Array) -> Array:
        """Return the codes (n,) int64 of hashes (n,) uint64, all of which are known."""
        return np.asarray(self.codes[np.searchsorted(self.hashes, hashes)])


class Decode(Struct, frozen=True):
    """Records → the rows of a side; it travels with every pass."""

    record_type: np.dtype[np.void]
    n_layers: int
    labels: Codes
    texts: tuple[Codes, ...]
    ledger: Ledger  # empty: it knows which place is of which side
    moved: Codes  # rows of small classes, by hash
    places: Array  # (rows,) of those

    def chunk(self, part: bytes | memoryview) -> Chunk:
        """Return records as rows, whose layers lie in their memory."""
        records = np.frombuffer(part, self.record_type)
        structured = records["numbers"]
        if self.texts:
            coded = [codes(records["texts"][:, i]) for i, codes in enumerate(self.texts)]
            structured = np.column_stack([structured, *coded])
        layers = tuple(records[f"layer{i}"] for i in range(self.n_layers))
        code = self.labels(records["label"])
        return Chunk(records["hash"], records["unit"], code, structured, layers)

    def side(self, part: bytes | memoryview, side: int) -> Chunk:
        """Return the rows of a side, those of small classes where they were put."""
        rows = self.chunk(part)
        unit = rows.unit.copy()
        if len(self.places):
            at = np.flatnonzero(np.isin(rows.hash, self.moved.hashes))
            unit[at] = self.places[self.moved(rows.hash[at])]
        rows = Chunk(rows.hash, unit, rows.code, rows.structured, rows.layers)
        sides = np.zeros(len(rows), np.int64) if self.ledger.folds else self.ledger.side(unit)
        return rows if (sides == side).all() else rows.take(np.flatnonzero(sides == side))
