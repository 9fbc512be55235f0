"""The form in which rows travel between a shell and the worker: columns.h has it.

A request's buffers are wrapped as Arrow arrays where they lie; a reply is sent from the kernels'
own buffers. Types come as Arrow has them when DuckDB itself hands columns to Python, so that a
kernel cannot tell which host it runs in.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from vista_sql.errors import HostError

Type: TypeAlias = Sequence[Any]
"""A DuckDB type as the extension describes it: [id, …]; the ids are duckdb_type of the C API."""

Part: TypeAlias = bytes | memoryview | pa.Buffer

NO_NULLS, SOME_NULLS, ALL_NULL = 0, 1, 2

BOOLEAN, DATE, TIME, INTERVAL, HUGEINT, DECIMAL, ENUM = 1, 13, 14, 15, 16, 19, 23
LIST, STRUCT, MAP, UUID, ARRAY = 24, 25, 26, 27, 33

PLAIN = {
    2: pa.int8(),
    3: pa.int16(),
    4: pa.int32(),
    5: pa.int64(),
    6: pa.uint8(),
    7: pa.uint16(),
    8: pa.uint32(),
    9: pa.uint64(),
    10: pa.float32(),
    11: pa.float64(),
    12: pa.timestamp("us"),
    DATE: pa.date32(),
    TIME: pa.time64("us"),
    HUGEINT: pa.decimal128(38, 0),
    20: pa.timestamp("s"),
    21: pa.timestamp("ms"),
    22: pa.timestamp("ns"),
    31: pa.timestamp("us", "UTC"),
}
"""Types whose values DuckDB and Arrow hold alike."""

TEXTS = {17: pa.large_string(), 18: pa.large_binary()}

INTEGERS = {
    3: np.int16,
    4: np.int32,
    5: np.int64,
    6: np.uint8,
    7: np.uint16,
    8: np.uint32,
}
"""What DECIMALs and ENUMs are made of."""


def read(body: memoryview, types: Sequence[Type], rows: int) -> list[pa.Array]:
    """Return a request's columns; they keep `body` alive.

    Raises:
        HostError: the body ends too early, or goes on, or is not of these types.
    """
    reader = _Reader(body)
    try:
        columns = [reader.column(kind, rows) for kind in types]
    except _UNLIKE as error:
        raise HostError(f"a request's columns are not of the types that it says: {error}") from None
    if reader.at != len(body):
        raise HostError(f"a request has {len(body)} bytes, its columns {reader.at}")
    return columns


_UNLIKE = (
    TypeError, ValueError, LookupError, ArithmeticError, RecursionError, NotImplementedError,
    pa.ArrowException,
)  # fmt: skip


class _Reader:
    """Reads nodes one after the other."""

    def __init__(self, body: memoryview) -> None:
        self._body = pa.py_buffer(body)
        self.at = 0

    def _take(self, n_bytes: int) -> pa.Buffer:
        if n_bytes < 0 or self.at + n_bytes > self._body.size:
            raise HostError("a request ends in the middle of a column")
        buffer = self._body.slice(self.at, n_bytes)
        self.at += n_bytes + -n_bytes % 8
        return buffer

    def _values(self, kind: Any, n: int) -> Any:
        return np.frombuffer(self._take(n * np.dtype(kind).itemsize), kind, n)

    def _offsets(self, n: int) -> tuple[pa.Buffer, int]:
        buffer = self._take((n + 1) * 8)
        offsets = np.frombuffer(buffer, np.int64)
        if offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise HostError("a request has offsets that go backwards")
        return buffer, int(offsets[-1])

    def column(self, kind: Type, n: int) -> pa.Array:
        """Return the next node as an array of n rows."""
        type_id, (nulls,) = kind[0], self._values(np.uint64, 1)
        if nulls == ALL_NULL:
            return pa.nulls(n, _all_null(kind))
        valid = self._take((n + 63) // 64 * 8) if nulls == SOME_NULLS else None
        if type_id in PLAIN:
            width = PLAIN[type_id].bit_width // 8
            return pa.Array.from_buffers(PLAIN[type_id], n, [valid, self._take(n * width)])
        if type_id in TEXTS:
            offsets, size = self._offsets(n)
            return pa.Array.from_buffers(TEXTS[type_id], n, [valid, offsets, self._take(size)])
        if type_id == LIST:
            offsets, size = self._offsets(n)
            values = self.column(kind[1], size)
            arrow = pa.large_list(values.type)
            return pa.Array.from_buffers(arrow, n, [valid, offsets], children=[values])
        if type_id == ARRAY:
            if kind[1] < 1:
                raise HostError(f"a request has an array of {kind[1]} elements")
            values = self.column(kind[2], n * kind[1])
            arrow = pa.list_(values.type, kind[1])
            return pa.Array.from_buffers(arrow, n, [valid], children=[values])
        if type_id == STRUCT:
            fields = [self.column(part, n) for part in kind[2::2]]
            arrow = pa.struct(
                [pa.field(name, f.type) for name, f in zip(kind[1::2], fields, strict=True)]
            )
            return pa.Array.from_buffers(arrow, n, [valid], children=fields)
        if type_id == MAP:
            return self._map(kind, n, valid)
        return self._converted(kind, n, valid)

    def _map(self, kind: Type, n: int, valid: pa.Buffer | None) -> pa.Array:
        buffer, size = self._offsets(n)
        pairs = self.column([STRUCT, "key", kind[1], "value", kind[2]], size)
        arrow = pa.map_(*(field.type for field in pairs.type))
        fields = [arrow.key_field, arrow.item_field]  # in Arrow a key is never NULL
        entries = pa.StructArray.from_arrays(pairs.flatten(), fields=fields)
        narrow = pa.py_buffer(np.frombuffer(buffer, np.int64).astype(np.int32))
        return pa.Array.from_buffers(arrow, n, [valid, narrow], children=[entries])

    def _converted(self, kind: Type, n: int, valid: pa.Buffer | None) -> pa.Array:
        """Return a column whose values Arrow holds otherwise."""
        if kind[0] == BOOLEAN:
            return _valid(pa.array(self._values(np.uint8, n) != 0), valid)
        if kind[0] == UUID:  # its highest bit is flipped, so that DuckDB sorts it as a number
            halves = self._values("<u8", 2 * n).reshape(n, 2)
            texts = [
                str(uuid.UUID(int=(int(high) ^ 1 << 63) << 64 | int(low))) for low, high in halves
            ]
            return _valid(pa.array(texts, pa.string()), valid)
        if kind[0] == INTERVAL:
            found = self._values("<i4,<i4,<i8", n)
            made = np.empty(n, "<i4,<i4,<i8")
            made["f0"], made["f1"], made["f2"] = found["f0"], found["f1"], found["f2"] * 1000
            buffer = pa.py_buffer(made)
            return pa.Array.from_buffers(pa.month_day_nano_interval(), n, [valid, buffer])
        if kind[0] == DECIMAL:
            made_type = pa.decimal128(kind[2], kind[3])
            if kind[1] == HUGEINT:
                return pa.Array.from_buffers(made_type, n, [valid, self._take(n * 16)])
            wide = np.empty((n, 2), np.int64)
            wide[:, 0] = self._values(INTEGERS[kind[1]], n)
            wide[:, 1] = wide[:, 0] >> 63
            return pa.Array.from_buffers(made_type, n, [valid, pa.py_buffer(wide)])
        if kind[0] == ENUM:
            codes = _valid(pa.array(self._values(INTEGERS[kind[1]], n)), valid)
            return pa.DictionaryArray.from_arrays(codes, pa.array(kind[2:], pa.string()))
        raise HostError(
            f"a request has a column of a type that cannot be sent to the worker ({kind[0]})"
        )


def _all_null(kind: Type) -> pa.DataType:
    """Return the type of a column of NULLs: which column holds images must not hang on its rows."""
    if kind[0] == STRUCT:
        fields = zip(kind[1::2], kind[2::2], strict=True)
        return pa.struct([(name, _all_null(part)) for name, part in fields])
    return {**PLAIN, **TEXTS}.get(kind[0], pa.null())


def _valid(array: pa.Array, valid: pa.Buffer | None) -> pa.Array:
    """Return the array with a bitmap of which rows are not NULL."""
    if valid is None:
        return array
    return pa.Array.from_buffers(array.type, len(array), [valid, *array.buffers()[1:]])


def write(array: pa.Array, kind: pa.DataType) -> Iterator[Part]:
    """Yield a column as a node, its buffers where they lie.

    Args:
        array: what a kernel returned.
        kind: its declared type, as `declared` has it.
    """
    if pa.types.is_null(array.type) and not pa.types.is_struct(kind):
        yield _u64(ALL_NULL)
        return
    if pa.types.is_struct(kind):
        fields = array.flatten()  # a field is NULL where its struct is
        yield from _nulls(array)
        for field, part in zip(fields, kind, strict=True):
            yield from write(field, part.type)
        return
    if array.null_count == len(array) and len(array):
        yield _u64(ALL_NULL)
        return
    if pa.types.is_large_list(kind) or pa.types.is_map(kind):
        yield from _lists(array, kind)
        return
    if array.type != kind:
        array = array.cast(kind)
    yield from _nulls(array)
    if pa.types.is_boolean(kind):
        values = array.cast(pa.uint8()).fill_null(0)
        yield from _padded(np.asarray(values).tobytes())
    elif kind in TEXTS.values() and not len(array):
        yield _u64(0)
    elif kind in TEXTS.values():
        _, offsets, data = array.buffers()
        ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
        first, last = int(ends[0]), int(ends[-1])
        yield (ends - first).tobytes()
        if last > first:
            yield from _padded(data.slice(first, last - first))
    elif len(array):
        width = kind.bit_width // 8
        values = array.buffers()[1]
        yield from _padded(values.slice(array.offset * width, len(array) * width))


def _lists(array: pa.Array, kind: pa.DataType) -> Iterator[Part]:
    yield from _nulls(array)
    offsets = np.asarray(array.offsets).astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    yield (offsets - first).tobytes()
    if pa.types.is_map(kind):
        entries = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        pairs = pa.StructArray.from_arrays([array.keys, array.items], ["key", "value"])
        yield from write(pairs.slice(first, last - first), entries)
    else:
        yield from write(array.values.slice(first, last - first), kind.value_type)


def _nulls(array: pa.Array) -> Iterator[Part]:
    if not array.null_count:
        yield _u64(NO_NULLS)
        return
    yield _u64(SOME_NULLS)
    bits = np.packbits(np.asarray(array.is_valid()), bitorder="little").tobytes()
    yield bits + bytes(-len(bits) % 8)


def _padded(data: bytes | pa.Buffer) -> Iterator[Part]:
    size = data.size if isinstance(data, pa.Buffer) else len(data)
    yield data
    if size % 8:
        yield bytes(-size % 8)


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def declared(form: str) -> pa.DataType:
    """Return the Arrow type in which a column of a type's short form (`build`) is sent."""
    kind, rest = _declared(form)
    if rest:
        raise HostError(f"{form!r} goes on after its type: {rest!r}")
    return kind


def _declared(form: str) -> tuple[pa.DataType, str]:
    if form[0] == "[":
        value, rest = _declared(form[1:])
        return pa.large_list(value), rest
    if form[0] == "(":
        key, rest = _declared(form[1:])
        value, rest = _declared(rest)
        return pa.map_(key, value), rest
    if form[0] == "{":
        fields, rest = [], form[1:]
        while rest[0] != "}":
            name, _, rest = rest.partition("=")
            kind, rest = _declared(rest)
            fields.append((name, kind))
        return pa.struct(fields), rest[1:]
    type_id, _, rest = form.partition(";")
    return (pa.bool_() if int(type_id) == BOOLEAN else {**PLAIN, **TEXTS}[int(type_id)]), rest
