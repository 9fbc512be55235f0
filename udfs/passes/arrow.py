"""Arrow in, Arrow out: what every kernel does with the columns it is given and returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vista_sql.errors import HostError
from vista_sql.kernels import InferSpec

Column: TypeAlias = pa.Array | pa.ChunkedArray
"""A column as an engine hands it over: chunked or not, of any of Arrow's string or binary types."""

FEATURES = pa.large_list(pa.float32())


def one_array(column: Column) -> pa.Array:
    """Return the column as one array, with 64-bit offsets where it holds text or bytes."""
    if isinstance(column, pa.ChunkedArray):
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        column = pa.concat_arrays(chunks) if chunks else pa.array([], column.type)
    kind = column.type
    if pa.types.is_string(kind) or kind == pa.string_view():
        return column.cast(pa.large_string())
    if pa.types.is_binary(kind) or kind == pa.binary_view():
        return column.cast(pa.large_binary())
    return column


def from_numpy(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Return a vector of numbers as an array of the same bytes, without nulls and without a copy.

    `pa.array`, `pa.scalar` and `to_numpy` import pandas, which takes .15 s.
    """
    buffers = [None, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(kind, len(values), buffers)


def to_numpy(array: pa.Array) -> np.ndarray:
    """Return an array of numbers or BOOLEANs as a vector; where it is NULL, anything may stand."""
    _, buffer = array.buffers()
    if buffer is None:
        return np.zeros(len(array), np.int64)
    if pa.types.is_boolean(array.type):
        bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
        return bits[array.offset : array.offset + len(array)].view(np.bool_)
    values = np.frombuffer(buffer, array.type.to_pandas_dtype())
    return values[array.offset : array.offset + len(array)]


def spec_of(column: Column) -> InferSpec | None:
    """Return the one spec of a call, or None where the call has no rows.

    Raises:
        HostError: the rows have different specs, or none; no plan emits such a call.
    """
    if len(column) == 0:
        return None
    distinct = one_array(column).unique()
    if len(distinct) != 1 or not distinct[0].is_valid:
        raise HostError(f"a kernel was called with {len(distinct)} specs in one call, not with one")
    return InferSpec.from_text(distinct[0].as_py())


def feature_lists(matrix: np.ndarray | None, present: np.ndarray) -> pa.Array:
    """Return one list of floats per row of a call, without copying the values.

    Args:
        matrix: float32 (rows, values); None: no row has features.
        present: bool (rows,): which rows have features; the others become NULL lists.
    """
    rows = len(present)
    if matrix is None or not rows:
        return pa.nulls(rows, FEATURES)
    offsets = pa.py_buffer(np.arange(rows + 1, dtype=np.int64) * matrix.shape[1])
    values = from_numpy(matrix.reshape(-1), pa.float32())
    return pa.Array.from_buffers(FEATURES, rows, [_validity(present), offsets], children=[values])


def map_blobs(matrix: np.ndarray | None, present: np.ndarray) -> pa.Array:
    """Return one BLOB of little-endian float32 per row of a call, without copying the values.

    Args:
        matrix: float32 (rows, values); None: no row has a map.
        present: bool (rows,): which rows have a map; the others become NULL.
    """
    rows = len(present)
    if matrix is None or not rows:
        return pa.nulls(rows, pa.large_binary())
    values = np.ascontiguousarray(matrix, "<f4")
    offsets = pa.py_buffer(np.arange(rows + 1, dtype=np.int64) * (matrix.shape[1] * 4))
    buffers = [_validity(present), offsets, pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.large_binary(), rows, buffers)


def _validity(present: np.ndarray) -> pa.Buffer | None:
    if present.all():
        return None
    return pa.py_buffer(np.packbits(present, bitorder="little"))


def struct(columns: Sequence[pa.Array], slots: int, errors: pa.Array | None) -> pa.StructArray:
    """Return STRUCT(l1 …, l<slots> …[, error]); slots without a column are NULL in every row."""
    empty = pa.nulls(len(columns[0]), columns[0].type)
    arrays = [*columns, *[empty] * (slots - len(columns))]
    names = [f"l{slot}" for slot in range(1, slots + 1)]
    if errors is not None:
        arrays, names = [*arrays, errors], [*names, "error"]
    return pa.StructArray.from_arrays(arrays, names=names)


def map_rows(
    column: Column, size: int, layer: str
) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """Read a column of raw maps.

    Args:
        column: BLOBs of little-endian float32; NULL: no map.
        size: values of one map.
        layer: whose maps they are, for the error.

    Returns:
        A function from row numbers, all of rows with a map, to float32 (rows, values), and which
        rows have a map.

    Raises:
        HostError: a BLOB has another length.
    """
    blobs = one_array(column)
    if pa.types.is_null(blobs.type):
        blobs = blobs.cast(pa.large_binary())
    present = to_numpy(blobs.is_valid())
    lengths = pc.binary_length(blobs).drop_null().unique().to_pylist()
    wrong = [length for length in lengths if length != size * 4]
    if wrong:
        raise HostError(
            f"a map of layer {layer!r} has {size * 4} bytes, but a BLOB of {wrong[0]} bytes "
            "was given"
        )

    def rows(places: np.ndarray) -> np.ndarray:
        return np.stack([np.frombuffer(blobs[int(place)].as_buffer(), "<f4") for place in places])

    return rows, present
