"""On an executor: rows encoded for a training, and passes over them."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from vista_sql.runs import MOST_REASONS, Seen
from vista_sql.train import encoded, remote
from vista_sql.train.chunks import Array
from vista_sql.train.columns import is_layer, is_reason
from vista_sql.train.examples import Examples
from vista_sql.train.spec import KEY, TrainSpec

ENCODED_ROWS = 1024
"""Most rows that are encoded at once."""

RECORDS_BYTES = 1 << 22
"""About so many of records are one message to the driver."""


def encode(spec: TrainSpec, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield a partition's rows as records, each with hash and key, and what is told of them.

    Columns: hash int64 (the bits of the unsigned one), key text, record and summary binary.
    """
    read: list[Seen] = []  # of the batch that is being encoded
    for piece in encoded.encoded(spec, _columns(batches, read)):
        n = len(piece.hashes)
        hashes = pa.array(piece.hashes.view(np.int64))
        keys = pa.nulls(n, pa.string()) if piece.keys is None else piece.keys
        told = pa.array([pickle.dumps((piece.summary, read.pop()))], pa.binary())
        nothing = pa.nulls(n, pa.binary())
        yield _batch(hashes, keys, _binary(piece.records), nothing)
        yield _batch(*(pa.nulls(1, kind) for kind in (pa.int64(), pa.string(), pa.binary())), told)


def _batch(*columns: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(list(columns), ["hash", "key", "record", "summary"])


def _columns(batches: Iterable[pa.RecordBatch], read: list[Seen]) -> Iterator[dict[str, pa.Array]]:
    for batch in batches:
        for start in range(0, len(batch), ENCODED_ROWS):
            part = batch.slice(start, ENCODED_ROWS)
            read.append(seen_in(part))
            yield dict(zip(part.schema.names, part.columns, strict=True))


def seen_in(batch: pa.RecordBatch) -> Seen:
    """Return what rows say of their images: by their layers, and TRANSFER's reasons."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    types = {name: column.type for name, column in columns.items()}
    known = [column for name, column in columns.items() if is_layer(types[name])]
    if not known:
        return Seen(len(batch))
    images = np.zeros(len(batch), bool)
    failed = np.zeros(len(batch), bool)
    for column in known:
        images |= np.asarray(column.is_valid())
    reasons: list[tuple[str | None, str]] = []
    for name, column in columns.items():
        if is_reason(name, types) and pa.types.is_string(types[name]):
            failed |= np.asarray(column.is_valid())
            keys = columns[KEY].to_pylist() if KEY in columns else [None] * len(batch)
            found = zip(keys, column.to_pylist(), strict=True)
            reasons += [(None if k is None else str(k), why) for k, why in found if why is not None]
    n_images = int((images | failed).sum())
    return Seen(len(batch), n_images, int(failed.sum()), reasons[:MOST_REASONS])


def _binary(records: Array) -> pa.Array:
    """Return records (rows,) of one width as a column of bytes."""
    size = records.dtype.itemsize
    offsets = np.arange(len(records) + 1, dtype=np.int32) * np.int32(size)
    data = pa.py_buffer(np.ascontiguousarray(records).view(np.uint8))
    return pa.Array.from_buffers(pa.binary(), len(records), [None, pa.py_buffer(offsets), data])


def _records(batches: Iterable[pa.RecordBatch], n_rows: int) -> Iterator[memoryview]:
    """Yield the records of a partition, most `n_rows` at a time, as they lie in memory."""
    for batch in batches:
        for start in range(0, len(batch), n_rows):
            column = batch.column(0).slice(start, n_rows)
            _, offsets, data = column.buffers()
            ends = np.frombuffer(offsets, np.int32)[[column.offset, column.offset + len(column)]]
            if data is not None:
                yield memoryview(data)[int(ends[0]) : int(ends[1])]


def answer(order: remote.Order, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield what a partition answers to a pass, pickled, a row each."""
    for found in remote.answers(order, _records(batches, order.rows.layout.chunk_rows)):
        message = pa.array([pickle.dumps(found)], pa.binary())
        yield pa.RecordBatch.from_arrays([message], ["answer"])


def fetch(order: None, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield a partition's records, many to a message."""
    del order
    for batch in batches:
        size = max(1, batch.nbytes // max(1, len(batch)))
        for part in _records([batch], max(1, RECORDS_BYTES // size)):
            message = pa.array([part.tobytes()], pa.binary())
            yield pa.RecordBatch.from_arrays([message], ["answer"])


def examples(order: Examples, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield a partition's rows as Spark's own trainers take them: features, label, weight."""
    for part in _records(batches, order.rows.layout.chunk_rows):
        for x, code, weight in order.of(part):
            offsets = pa.array(np.arange(len(x) + 1, dtype=np.int32) * np.int32(x.shape[1]))
            features = pa.ListArray.from_arrays(offsets, pa.array(x.ravel()))
            columns = [features, pa.array(code.astype(np.float64)), pa.array(weight)]
            yield pa.RecordBatch.from_arrays(columns, ["features", "label", "weight"])
