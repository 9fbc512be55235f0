"""Rows as TFRecord files: a `tf.train.Example` each, under a temporary name until all are written.

Whole numbers and BOOLEAN become int64, FLOAT float, VARCHAR and BLOB bytes, a list or an array of
them as many values; NULL becomes an absent feature. What an Example would change, it cannot have.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
import weakref
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from msgspec import Struct

from vista_sql.errors import TFRecordError
from vista_sql.tfrecord.examples import example_class
from vista_sql.tfrecord.files import WINDOW_BITS, Compression
from vista_sql.tfrecord.records import framed

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 64
"""Rows that are Python values at once."""

ABANDONED = 8
"""Most exports under way in a process; where nobody ends a failed one, the oldest goes."""


class Written(Struct, frozen=True):
    """One file that was written."""

    file: str
    rows: int
    bytes: int


def shard_names(path: str, shards: int) -> tuple[str, ...]:
    """Return the files of an export, as TensorFlow's tools name them.

    Example:
        >>> shard_names("out/f.tfrecord", 2)
        ('out/f-00000-of-00002.tfrecord', 'out/f-00001-of-00002.tfrecord')
    """
    if shards == 1:
        return (path,)
    stem, ending = os.path.splitext(path)  # noqa: PTH122 - the text stays as it is
    return tuple(f"{stem}-{shard:05}-of-{shards:05}{ending}" for shard in range(shards))


class _Shard:
    """One file under its temporary name."""

    def __init__(self, name: str, compression: Compression) -> None:
        self.name, self.rows = name, 0
        path = Path(name)
        if path.exists() and not path.is_file():
            raise TFRecordError(name, "it is not a regular file; name another")
        self._half = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.half")
        self._compressor = None
        if compression != "none":
            self._compressor = zlib.compressobj(wbits=WINDOW_BITS[compression])
        try:
            self._file: IO[bytes] = self._half.open("xb", buffering=1 << 18)
        except OSError as error:
            raise _failed(name, error) from None
        self._drop = weakref.finalize(self, _remove, self._file, self._half)  # also at Python's end

    def write(self, data: bytes) -> None:
        """Write one record."""
        self._put(framed(data))
        self.rows += 1

    def close(self) -> int:
        """Write what is left; return the bytes of the file."""
        if self._compressor is not None:
            self._file.write(self._compressor.flush())
        self._file.close()
        return self._half.stat().st_size

    def publish(self) -> None:
        """Give the file its name."""
        self._half.replace(self.name)
        self._drop.detach()

    def drop(self) -> None:
        """Remove what has no name yet."""
        self._drop()

    def _put(self, data: bytes) -> None:
        self._file.write(data if self._compressor is None else self._compressor.compress(data))


class Writer:
    """Writes batches of rows, in their order, to one file or round-robin to several."""

    def __init__(self, path: str, compression: Compression = "none", shards: int = 1) -> None:
        """Open the files under temporary names.

        Raises:
            TFRecordError: one cannot be created.
        """
        self.rows = 0
        self._shards: list[_Shard] = []
        try:
            for name in shard_names(path, shards):
                self._shards.append(_Shard(name, compression))
        except BaseException:
            self.close()
            raise

    def write(self, batch: pa.RecordBatch) -> None:
        """Write rows.

        Raises:
            TFRecordError: a column cannot be a feature, or the disk is full; names it.
        """
        names = batch.schema.names
        fields = [_field(column, self._shards[0].name) for column in batch.schema]
        for values in _rows(batch):
            shard = self._shards[self.rows % len(self._shards)]
            try:
                shard.write(_example(names, fields, values))
            except OSError as error:
                raise _failed(shard.name, error) from None
            except (TypeError, ValueError) as error:
                reason = f"row {self.rows} (counted from 0) has a value that no Example can hold"
                raise TFRecordError(shard.name, f"{reason}: {error}") from None
            self.rows += 1

    def finish(self) -> tuple[Written, ...]:
        """Give the files their names, now that all are whole.

        Raises:
            TFRecordError: the disk is full, or a name cannot be taken.
        """
        done = []
        for shard in self._shards:
            try:
                done.append(Written(shard.name, shard.rows, shard.close()))
            except OSError as error:
                raise _failed(shard.name, error) from None
        for shard in self._shards:
            try:
                shard.publish()
            except OSError as error:
                raise _failed(shard.name, error) from None
        return tuple(done)

    def close(self) -> None:
        """Remove what `finish` did not name; safe to call twice."""
        for shard in self._shards:
            shard.drop()


def _remove(file: IO[bytes], path: Path) -> None:
    with contextlib.suppress(OSError):  # what is buffered may not fit
        file.close()
    path.unlink(missing_ok=True)


def _failed(name: str, error: OSError) -> TFRecordError:
    reason = (error.strerror or type(error).__name__).lower()
    return TFRecordError(name, f"it cannot be written: {reason}; name another place or free some")


def _field(column: pa.Field, file: str) -> tuple[str, bool]:
    """Return the field of a Feature that holds a column, and whether it has many values.

    Raises:
        TFRecordError: none does.
    """
    import pyarrow.types as kinds

    kind: Any = column.type
    many = kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)
    if many:
        kind = kind.value_type
    if kinds.is_integer(kind) or kinds.is_boolean(kind):
        return "int64_list", many
    if kinds.is_float32(kind) or kinds.is_float16(kind):
        return "float_list", many
    if any(test(kind) for test in (kinds.is_string, kinds.is_large_string, kinds.is_string_view)):
        return "bytes_list", many
    if any(test(kind) for test in (kinds.is_binary, kinds.is_large_binary, kinds.is_binary_view)):
        return "bytes_list", many
    number = kinds.is_float64(kind) or kinds.is_decimal(kind)
    remedy = f'CAST("{column.name}" AS {"FLOAT" if number else "VARCHAR"}{"[]" if many else ""})'
    raise TFRecordError(
        file,
        f"column {column.name!r} is {column.type}, which an Example cannot hold (int64, 32-bit "
        "float "
        f"and bytes, or lists of them): select {remedy}",
    )


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    """Yield the rows as Python values, some at a time: they are copies."""
    for start in range(0, batch.num_rows, ROWS):
        columns = [column.to_pylist() for column in batch.slice(start, ROWS).columns]
        yield from zip(*columns, strict=True)


def _example(
    names: Sequence[str], fields: Sequence[tuple[str, bool]], values: Sequence[Any]
) -> bytes:
    example = example_class()()
    features = example.features.feature
    for name, (field, many), value in zip(names, fields, values, strict=True):
        if value is None:
            continue
        listed = value if many else [value]
        if None in listed:
            raise ValueError(f"a NULL in a list of {name!r}")
        if field == "int64_list":
            listed = map(int, listed)  # BOOLEAN too
        elif field == "bytes_list":
            listed = [item.encode() if isinstance(item, str) else item for item in listed]
        holder = getattr(features[name], field)
        holder.SetInParent()  # an empty list is there, NULL is not
        holder.value.extend(listed)
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


class Exports:
    """The writers that statements have under way, for kernels that are called from any thread."""

    def __init__(self) -> None:
        self._writers: dict[str, tuple[Writer, str]] = {}
        self._lock = threading.Lock()

    def begin(self, order: Mapping[str, Any]) -> str:
        """Open the files that an order names; return an id.

        Args:
            order: `file`, `compression`, `shards`, and the `run` that the statement counts under.
        """
        writer = Writer(order["file"], order["compression"], order["shards"])
        name = uuid.uuid4().hex
        with self._lock:
            self._writers[name] = (writer, order["run"])
            old = list(self._writers)[:-ABANDONED]
        for one in old:
            self._drop(one)
        return name

    def feed(self, name: str, first: int, batch: pa.RecordBatch) -> None:
        """Write rows; those numbered from `first` must be next.

        Raises:
            TFRecordError: they cannot be written, or came in another order; nothing is left behind.
        """
        with self._lock:
            if name not in self._writers:
                raise TFRecordError(
                    "export", "it has already ended or failed; run the statement again"
                )
            writer, _ = self._writers[name]
            try:
                if first != writer.rows:
                    raise TFRecordError("export", "rows came out of order; SET threads = 1")
                writer.write(batch)
            except BaseException:
                del self._writers[name]
                writer.close()
                raise

    def finish(self, name: str) -> tuple[Written, ...]:
        """End an export: its files have their names now."""
        with self._lock:
            writer, _ = self._writers.pop(name)
        try:
            return writer.finish()
        finally:
            writer.close()

    def end(self, run: str) -> None:
        """Drop what a statement began and did not finish: it failed, or was left."""
        with self._lock:
            left = [name for name, (_, of) in self._writers.items() if run and of == run]
        for name in left:
            self._drop(name)

    def _drop(self, name: str) -> None:
        with self._lock:
            found = self._writers.pop(name, None)
        if found is not None:
            found[0].close()
