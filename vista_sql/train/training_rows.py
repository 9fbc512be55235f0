"""Rows that can be streamed again and again, always in the same order, in memory or spooled.

Order is by row hash, whatever order the rows came in. In memory the rows are sorted once into one
array per block of columns. Above the memory limit they go to unnamed temporary files, one per range
of hashes, and each pass reads a file ahead of the one that is being used, sorts its row numbers and
hands out rows; then memory holds two such files and no more, however many rows there are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]

BUCKET_BITS = 6  # 64 files: a pass over spooled rows holds 2/64 of them in memory
CHUNK_VALUES = 1 << 20  # 4 MiB of float32: a chunk stays in L2/L3 between its two products
MIN_CHUNK_ROWS, MAX_CHUNK_ROWS = 64, 4096


@dataclass(frozen=True, slots=True)
class Layout:
    """How wide a row is: structured float64 values, then float32 layers."""

    n_structured: int
    layer_sizes: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """A spooled row."""
        fields: list[Any] = [("hash", "<u8"), ("unit", "<f8"), ("code", "<i8")]
        fields.append(("structured", "<f8", (self.n_structured,)))
        fields += [(f"layer{i}", "<f4", (size,)) for i, size in enumerate(self.layer_sizes)]
        return np.dtype(fields)

    @property
    def chunk_rows(self) -> int:
        """Rows in a chunk; a function of the width only, so that all stores cut alike."""
        width = max(1, self.n_structured + sum(self.layer_sizes))
        return int(np.clip(CHUNK_VALUES // width, MIN_CHUNK_ROWS, MAX_CHUNK_ROWS))


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows: (n,) hash, place in [0, 1), label code; (n, …) structured float64, layers float32.

    A chunk's arrays are valid until the next chunk is asked for.
    """

    hash: Array
    unit: Array
    code: Array
    structured: Array
    layers: tuple[Array, ...]

    def __len__(self) -> int:
        return len(self.code)

    @property
    def n_bytes(self) -> int:
        """Size in bytes."""
        parts = (self.hash, self.unit, self.code, self.structured, *self.layers)
        return sum(part.nbytes for part in parts)

    def take(self, index: Array | slice) -> Rows:
        """Return a copy of some rows."""

        def own(values: Array) -> Array:
            return values[index].copy() if isinstance(index, slice) else values[index]

        return Rows(
            own(self.hash),
            own(self.unit),
            own(self.code),
            own(self.structured),
            tuple(own(layer) for layer in self.layers),
        )


@dataclass(frozen=True, slots=True)
class Moments:
    """Per column: mean and standard deviation (divided by n, as scikit-learn's StandardScaler)."""

    mean: Floats
    scale: Floats

    @property
    def factor(self) -> Floats:
        """1 / scale, and 0 for a constant column: it gets no weight."""
        with np.errstate(divide="ignore"):
            return np.where(self.scale > 0, 1.0 / self.scale, 0.0)

    def apply(self, x: Floats, dtype: npt.DTypeLike = np.float32) -> Array:
        """Return (x - mean) / scale, computed in float64; 0 in constant columns."""
        return ((x - self.mean) * self.factor).astype(dtype)


class Store:
    """Rows of one side of a split; filled, sealed, then read any number of times."""

    def __init__(self, layout: Layout, folder: str | None = None) -> None:
        self.layout = layout
        self.n_rows = 0
        self.memory_bytes = 0
        self._folder = folder
        self._pieces: list[Rows] = []
        self._files: dict[int, IO[bytes]] = {}
        self._spooled = False
        self._sorted: Rows | None = None
        self._codes = np.arange(0)
        self._moments: Moments | None = None
        self.dtype: np.dtype[Any] = np.dtype(np.float32)

    @property
    def spooled(self) -> bool:
        """Whether the rows are in temporary files."""
        return self._spooled

    @property
    def sealed(self) -> bool:
        """Whether filling has ended."""
        return len(self._codes) > 0

    def append(self, rows: Rows) -> None:
        """Keep rows; the store owns their arrays from now on."""
        self.n_rows += len(rows)
        if self._spooled:
            self._write(rows)
        elif len(rows):
            self._pieces.append(rows)
            self.memory_bytes += rows.n_bytes

    def spool(self) -> None:
        """Move the rows out of memory, and all that follow."""
        self._spooled = True
        while self._pieces:
            self._write(self._pieces.pop())
        self.memory_bytes = 0

    def _write(self, rows: Rows) -> None:
        records = np.empty(len(rows), self.layout.dtype)
        records["hash"], records["unit"], records["code"] = rows.hash, rows.unit, rows.code
        records["structured"] = rows.structured
        for i, layer in enumerate(rows.layers):
            records[f"layer{i}"] = layer
        buckets = (rows.hash >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
        order = np.argsort(buckets, kind="stable")
        records, buckets = records[order], buckets[order]
        for bucket in np.unique(buckets).tolist():
            if bucket not in self._files:
                # no name in the file system: gone with the process, however it ends
                self._files[bucket] = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
            first, end = np.searchsorted(buckets, (bucket, bucket + 1))
            self._files[bucket].write(records[first:end].view(np.uint8).data)

    def take_out(self, hashes: Array) -> Rows:
        """Remove the rows that have one of some hashes, and return copies of them."""
        layout, found = self.layout, [_no_rows(self.layout)]
        for i, piece in enumerate(self._pieces):
            out = np.isin(piece.hash, hashes)
            if out.any():
                found.append(piece.take(np.flatnonzero(out)))
                self._pieces[i] = piece.take(np.flatnonzero(~out))
                self.memory_bytes -= piece.n_bytes - self._pieces[i].n_bytes
        buckets = np.unique((hashes >> np.uint64(64 - BUCKET_BITS)).astype(np.int64))
        for file in [self._files[b] for b in buckets.tolist() if b in self._files]:
            file.seek(0)
            records = np.frombuffer(file.read(), layout.dtype)
            out = np.isin(records["hash"], hashes)
            found.append(_rows_of(records[out], len(layout.layer_sizes)))
            file.seek(0)
            file.truncate()
            file.write(records[~out].view(np.uint8).data)
        whole = _joined(found)
        self.n_rows -= len(whole)
        return whole

    def copy(self) -> Store:
        """Return an unsealed store of the rows so far; they share their arrays.

        Raises:
            RuntimeError: the rows are spooled.
        """
        if self._spooled:
            raise RuntimeError("a spooled store cannot be copied")
        other = Store(self.layout, self._folder)
        other.n_rows, other.memory_bytes = self.n_rows, self.memory_bytes
        other._pieces = list(self._pieces)
        return other

    def seal(self, codes: Array) -> None:
        """End filling; label codes are replaced by `codes[code]` from here on."""
        self._codes = codes
        if self._spooled:
            for file in self._files.values():
                file.flush()
            return
        hashes = np.concatenate([p.hash for p in self._pieces] or [np.zeros(0, np.uint64)])
        rank = np.empty(self.n_rows, np.int64)
        rank[np.argsort(hashes, kind="stable")] = np.arange(self.n_rows)
        layout, n = self.layout, self.n_rows
        whole = Rows(
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

    @property
    def moments(self) -> Moments:
        """Of the structured columns, in the user's units: what `rescale` took them by."""
        if self._moments is None:
            raise RuntimeError("the store is not rescaled")
        return self._moments

    def rescale(self, moments: Moments, dtype: npt.DTypeLike) -> None:
        """Hand out structured columns as (x - mean) / scale, and all in `dtype`, from here on.

        The scaling is computed in float64, so that a column like a year keeps its digits.
        """
        self._moments, self.dtype = moments, np.dtype(dtype)
        rows = self._sorted
        if rows is not None:
            scaled = np.empty(rows.structured.shape, dtype)
            for i in range(0, self.n_rows, MAX_CHUNK_ROWS):
                part = slice(i, i + MAX_CHUNK_ROWS)
                scaled[part] = moments.apply(rows.structured[part], dtype)
            layers = tuple(layer.astype(dtype, copy=False) for layer in rows.layers)
            self._sorted = Rows(rows.hash, rows.unit, rows.code, scaled, layers)

    def chunks(self) -> Iterator[Rows]:
        """Yield all rows, in order of hash, `layout.chunk_rows` at a time."""
        if self._spooled:
            return self._chunks_spooled()
        return (self.chunk(i) for i in range(self.n_chunks))

    @property
    def n_chunks(self) -> int:
        """How many chunks `chunks` yields."""
        return -(-self.n_rows // self.layout.chunk_rows)

    def chunk(self, i: int) -> Rows:
        """Return the i-th chunk of a store in memory."""
        rows, step = self._sorted, self.layout.chunk_rows
        if rows is None:
            raise RuntimeError("the store is not sealed, or is spooled")
        part = slice(i * step, (i + 1) * step)
        return Rows(
            rows.hash[part],
            rows.unit[part],
            rows.code[part],
            rows.structured[part],
            tuple(layer[part] for layer in rows.layers),
        )

    def _chunks_spooled(self) -> Iterator[Rows]:
        step = self.layout.chunk_rows
        buffer = np.empty(step, self.layout.dtype)
        filled = 0
        for records in self._buckets():
            order = np.argsort(records["hash"], kind="stable")
            done = 0
            while done < len(order):
                some = order[done : done + step - filled]
                buffer[filled : filled + len(some)] = records[some]
                filled, done = filled + len(some), done + len(some)
                if filled == step:
                    yield self._view(buffer)
                    filled = 0
        if filled:
            yield self._view(buffer[:filled])

    def _buckets(self) -> Iterator[Array]:
        """Yield each file's rows; while one is used the next is read."""
        files = [self._files[bucket] for bucket in sorted(self._files)]
        largest = max((file.seek(0, 2) for file in files), default=0)
        spare = [np.empty(largest, np.uint8) for _ in range(2)]

        def read(i: int) -> Array:
            file = files[i]
            size, done = file.seek(0, 2), 0
            view = memoryview(spare[i % 2].data)[:size]
            file.seek(0)
            while done < size:
                got = file.readinto(view[done:])  # type: ignore[attr-defined]
                if not got:
                    raise OSError("a spool file of a training is shorter than what was written")
                done += got
            return spare[i % 2][:size].view(self.layout.dtype)

        with ThreadPoolExecutor(1, thread_name_prefix="vista-spool") as reader:
            ahead = reader.submit(read, 0) if files else None
            for i in range(len(files)):
                records = ahead.result() if ahead is not None else read(i)
                ahead = reader.submit(read, i + 1) if i + 1 < len(files) else None
                yield records

    def _view(self, records: Array) -> Rows:
        structured = records["structured"]
        if self._moments is not None:
            structured = self._moments.apply(structured, self.dtype)
        return Rows(
            records["hash"],
            records["unit"],
            self._codes[records["code"]],
            structured,
            tuple(
                records[f"layer{i}"].astype(self.dtype, copy=False)
                for i in range(len(self.layout.layer_sizes))
            ),
        )

    def close(self) -> None:
        """Give back memory and disk."""
        self._pieces.clear()
        self._sorted = None
        for file in self._files.values():
            file.close()
        self._files.clear()


def _no_rows(layout: Layout) -> Rows:
    return _rows_of(np.zeros(0, layout.dtype), len(layout.layer_sizes))


def _rows_of(records: Array, n_layers: int) -> Rows:
    layers = tuple(records[f"layer{i}"] for i in range(n_layers))
    return Rows(records["hash"], records["unit"], records["code"], records["structured"], layers)


def _joined(parts: list[Rows]) -> Rows:
    return Rows(
        np.concatenate([part.hash for part in parts]),
        np.concatenate([part.unit for part in parts]),
        np.concatenate([part.code for part in parts]),
        np.concatenate([part.structured for part in parts]),
        tuple(map(np.concatenate, zip(*(part.layers for part in parts), strict=True))),
    )
