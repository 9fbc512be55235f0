"""Rows that can be streamed again and again, always in the same order, in memory or spooled.

Order is by row hash, whatever order the rows came in. In memory the rows are sorted once into one
array per block of columns. Above the memory limit they go to unnamed temporary files, one per range
of hashes, and each pass reads a file ahead of the one that is being used, sorts its row numbers and
hands out rows; then memory holds two such files and no more, however many rows there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from msgspec.structs import replace

from vista_sql.spool import Spool
from vista_sql.train.chunks import (
    MAX_CHUNK_ROWS,
    Array,
    Chunk,
    ColumnMoments,
    FloatType,
    Layout,
)
from vista_sql.train.encoding import Encoding, Shift
from vista_sql.train.lanes import accumulate
from vista_sql.train.passes import Rows, Summing

T = TypeVar("T")

IN_MEMORY_SHARE = 0.5  # rows are in memory twice while they are put in order
BUCKET_BITS = 6  # 64 files: a pass over spooled rows holds 2/64 of them in memory


class TrainingRows(Rows):
    """The rows that train, or those that test: filled, sealed, encoded, then read repeatedly."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.memory_bytes = 0
        self._pieces: list[Chunk] = []
        self._files: dict[int, Spool] = {}
        self._spooled = False
        self._sorted: Chunk | None = None

    @property
    def spooled(self) -> bool:
        """Whether the rows are in temporary files."""
        return self._spooled

    def append(self, chunk: Chunk) -> None:
        """Add rows, in any order; their arrays must not be changed afterwards."""
        self.n_rows += len(chunk)
        if self._spooled:
            self._write(chunk)
        elif len(chunk):
            self._pieces.append(chunk)
            self.memory_bytes += chunk.n_bytes

    def spool(self) -> None:
        """Move the rows out of memory, and all that follow."""
        self._spooled = True
        while self._pieces:
            self._write(self._pieces.pop())
        self.memory_bytes = 0

    def _write(self, chunk: Chunk) -> None:
        records = np.empty(len(chunk), self._stored.dtype)
        records["hash"], records["unit"], records["code"] = chunk.hash, chunk.unit, chunk.code
        records["structured"] = chunk.structured
        for i, layer in enumerate(chunk.layers):
            records[f"layer{i}"] = layer
        buckets = (chunk.hash >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
        order = np.argsort(buckets, kind="stable")
        records, buckets = records[order], buckets[order]
        for bucket in np.unique(buckets).tolist():
            if bucket not in self._files:
                self._files[bucket] = Spool()
            first, end = np.searchsorted(buckets, (bucket, bucket + 1))
            self._files[bucket].write(records[first:end])

    def take_out(self, hashes: Array) -> Chunk:
        """Remove the rows whose hash is among `hashes` (n,) uint64, and return copies of them."""
        layout, removed = self.layout, [_no_rows(self.layout)]
        for i, piece in enumerate(self._pieces):
            out = np.isin(piece.hash, hashes)
            if out.any():
                removed.append(piece.take(np.flatnonzero(out)))
                self._pieces[i] = piece.take(np.flatnonzero(~out))
                self.memory_bytes -= piece.n_bytes - self._pieces[i].n_bytes
        buckets = np.unique((hashes >> np.uint64(64 - BUCKET_BITS)).astype(np.int64))
        for file in [self._files[b] for b in buckets.tolist() if b in self._files]:
            whole = np.empty(file.n_bytes, np.uint8)
            file.read(whole)
            records = whole.view(layout.dtype)
            out = np.isin(records["hash"], hashes)
            removed.append(_rows_of(records[out], len(layout.layer_sizes)))
            file.clear()
            file.write(records[~out])
        taken = _joined(removed)
        self.n_rows -= len(taken)
        return taken

    def copy(self) -> TrainingRows:
        """Return the rows so far, to be sealed apart from these; they share their arrays.

        Raises:
            RuntimeError: the rows are spooled.
        """
        if self._spooled:
            raise RuntimeError("spooled rows cannot be copied")
        other = TrainingRows(self.layout)
        other.n_rows, other.memory_bytes = self.n_rows, self.memory_bytes
        other._pieces = list(self._pieces)
        return other

    def seal(self, codes: Array) -> None:
        """End filling, and put the rows in order of hash.

        Args:
            codes: (classes,) int64: the class that each label code of the appended rows becomes.
        """
        self._codes = codes
        if self._spooled:
            return
        hashes = np.concatenate([p.hash for p in self._pieces] or [np.zeros(0, np.uint64)])
        rank = np.empty(self.n_rows, np.int64)
        rank[np.argsort(hashes, kind="stable")] = np.arange(self.n_rows)
        layout, n = self.layout, self.n_rows
        whole = Chunk(
            np.empty(n, np.uint64),
            np.empty(n, np.float64),
            np.empty(n, np.int64),
            np.empty((n, layout.n_structured), np.float64),
            tuple(np.empty((n, size), np.float32) for size in layout.layer_sizes),
        )
        start = n
        while self._pieces:  # from the end, so that each piece is freed when it is placed
            piece = self._pieces.pop()
            start -= len(piece)
            place = rank[start : start + len(piece)]
            whole.hash[place], whole.unit[place] = piece.hash, piece.unit
            whole.code[place] = codes[piece.code]
            whole.structured[place] = piece.structured
            for target, layer in zip(whole.layers, piece.layers, strict=True):
                target[place] = layer
        self._sorted = whole
        self.memory_bytes = whole.n_bytes

    def encode(self, encoding: Encoding, shifts: Sequence[Shift] = ()) -> None:
        """Make chunks hand out features in place of structured columns; see `Rows.encode`."""
        super().encode(encoding, shifts)
        if self._sorted is not None:
            whole = self._sorted
            self._sorted = replace(whole, structured=encoding.place(whole.structured))

    def rescale(self, moments: ColumnMoments, dtype: FloatType) -> None:
        """Make chunks hand out rescaled features; see `Rows.rescale`."""
        super().rescale(moments, dtype)
        whole = self._sorted
        if whole is not None:
            scaled = np.empty(whole.structured.shape, dtype)
            for i in range(0, self.n_rows, MAX_CHUNK_ROWS):
                part = slice(i, i + MAX_CHUNK_ROWS)
                scaled[part] = self._scaled(whole.structured[part])
            layers = tuple(layer.astype(dtype, copy=False) for layer in whole.layers)
            self._sorted = Chunk(whole.hash, whole.unit, whole.code, scaled, layers)

    def select(self, features: Sequence[Array], memory_bytes: int) -> TrainingRows:
        """Return these rows with some of the layers' features; see `Rows.select`."""
        other = TrainingRows(Layout(self._stored.n_structured, tuple(map(len, features))))
        other.layout = Layout(self.layout.n_structured, other._stored.layer_sizes)
        other._codes, other._moments, other.dtype = self._codes, self._moments, self.dtype
        other._encoding, other._tables, other._shifts = self._encoding, self._tables, self._shifts
        if self._sorted is not None:
            layers = tuple(self._columns(self._sorted.layers, places) for places in features)
            other._sorted = replace(self._sorted, layers=layers)
            other.n_rows = self.n_rows
            return other
        other._spooled = self.n_rows * other._stored.dtype.itemsize > memory_bytes
        parts = [self._as_sorted(_no_rows(other._stored))]
        for records in self._buckets():
            rows = _rows_of(records, len(self._stored.layer_sizes))
            rows = replace(
                rows, layers=tuple(self._columns(rows.layers, places) for places in features)
            )
            other.n_rows += len(rows)
            if other._spooled:
                other._write(rows)
            else:  # rows are in a buffer that the next but one is read into
                parts.append(self._as_sorted(rows.take(np.argsort(rows.hash, kind="stable"))))
        if other._spooled:
            other.seal(self._codes)
        else:
            other._sorted = _joined(parts)
        return other

    def _as_sorted(self, rows: Chunk) -> Chunk:
        """Return rows as they are stored as rows in memory are kept, once they are rescaled."""
        structured = self._scaled(self.encoding.place(rows.structured))
        layers = tuple(layer.astype(self.dtype, copy=False) for layer in rows.layers)
        return replace(rows, code=self._codes[rows.code], structured=structured, layers=layers)

    def total(self, summing: Summing[T]) -> T:
        """Return what one pass sums over all rows, the same to the last bit on any cores."""
        total, *lanes = accumulate(self, summing.start, summing.add)
        for lane in lanes:
            total = summing.join(total, lane)
        return total

    def mapped(self, function: Callable[[Chunk], T]) -> Iterator[tuple[Chunk, T]]:
        """Yield all chunks, in order of hash, with what a function says of each."""
        for chunk in self.chunks():
            yield chunk, function(chunk)

    def first(self, n: int, layers: Sequence[int]) -> Chunk:
        """Return the n rows of the least hashes; see `Rows.first`."""
        sizes = tuple(self.layout.layer_sizes[layer] for layer in layers)
        parts, left = [_no_rows(Layout(0, sizes))], n
        for chunk in self.chunks():
            if left <= 0:
                break
            part = chunk.take(slice(left))
            no_columns = np.zeros((len(part), 0))
            chosen = tuple(part.layers[layer] for layer in layers)
            parts.append(replace(part, structured=no_columns, layers=chosen))
            left -= len(part)
        return _joined(parts)

    def chunks(self) -> Iterator[Chunk]:
        """Yield all rows, in order of hash, `layout.chunk_rows` at a time."""
        if self._spooled:
            return self._chunks_spooled()
        return (self.chunk(i) for i in range(self.n_chunks))

    @property
    def n_chunks(self) -> int:
        """How many chunks `chunks` yields."""
        return -(-self.n_rows // self.layout.chunk_rows)

    def chunk(self, i: int) -> Chunk:
        """Return the i-th chunk of rows in memory; for several threads at once.

        Raises:
            RuntimeError: the rows are not sealed, or spooled.
        """
        whole, step = self._sorted, self.layout.chunk_rows
        if whole is None:
            raise RuntimeError("the rows are not sealed, or are spooled")
        part = slice(i * step, (i + 1) * step)
        return Chunk(
            whole.hash[part],
            whole.unit[part],
            whole.code[part],
            self._features(whole.structured[part]),
            tuple(layer[part] for layer in whole.layers),
        )

    def _chunks_spooled(self) -> Iterator[Chunk]:
        step = self.layout.chunk_rows
        buffer = np.empty(step, self._stored.dtype)
        filled = 0
        for records in self._buckets():
            order = np.argsort(records["hash"], kind="stable")
            start = 0
            while start < len(order):
                numbers = order[start : start + step - filled]
                buffer[filled : filled + len(numbers)] = records[numbers]
                filled, start = filled + len(numbers), start + len(numbers)
                if filled == step:
                    yield self._view(buffer)
                    filled = 0
        if filled:
            yield self._view(buffer[:filled])

    def _buckets(self) -> Iterator[Array]:
        """Yield each file's rows, (rows,) as stored; while one is used the next is read."""
        files = [self._files[bucket] for bucket in sorted(self._files)]
        largest = max((file.n_bytes for file in files), default=0)
        buffers = [np.empty(largest, np.uint8) for _ in range(2)]

        def read(i: int) -> Array:
            filled = buffers[i % 2][: files[i].n_bytes]
            files[i].read(filled)
            return filled.view(self._stored.dtype)

        with ThreadPoolExecutor(1, thread_name_prefix="vista-spool") as reader:
            ahead = reader.submit(read, 0) if files else None
            for i in range(len(files)):
                records = ahead.result() if ahead is not None else read(i)
                ahead = reader.submit(read, i + 1) if i + 1 < len(files) else None
                yield records

    def _view(self, records: Array) -> Chunk:
        return Chunk(
            records["hash"],
            records["unit"],
            self._codes[records["code"]],
            self._structured(records["structured"]),
            tuple(
                records[f"layer{i}"].astype(self.dtype, copy=False)
                for i in range(len(self.layout.layer_sizes))
            ),
        )

    def close(self) -> None:
        """Free memory and disk."""
        self._pieces.clear()
        self._sorted = None
        for file in self._files.values():
            file.close()
        self._files.clear()


def _no_rows(layout: Layout) -> Chunk:
    return _rows_of(np.zeros(0, layout.dtype), len(layout.layer_sizes))


def _rows_of(records: Array, n_layers: int) -> Chunk:
    layers = tuple(records[f"layer{i}"] for i in range(n_layers))
    return Chunk(records["hash"], records["unit"], records["code"], records["structured"], layers)


def _joined(parts: list[Chunk]) -> Chunk:
    return Chunk(
        np.concatenate([part.hash for part in parts]),
        np.concatenate([part.unit for part in parts]),
        np.concatenate([part.code for part in parts]),
        np.concatenate([part.structured for part in parts]),
        tuple(map(np.concatenate, zip(*(part.layers for part in parts), strict=True))),
    )
