"""A record batch as arrays by column: what tensors are made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from vista_sql.errors import HostError, QueryError

if TYPE_CHECKING:
    import numpy.typing as npt

    Arrays: TypeAlias = dict[str, npt.NDArray[Any] | list[str | bytes | None]]

NUMBERS = {  # DuckDB type → NumPy's
    "BOOLEAN": "bool",
    "TINYINT": "int8",
    "SMALLINT": "int16",
    "INTEGER": "int32",
    "BIGINT": "int64",
    "HUGEINT": "float64",  # Arrow has no integer of 128 bits; sums of integers are HUGEINT
    "UTINYINT": "uint8",
    "USMALLINT": "uint16",
    "UINTEGER": "uint32",
    "UBIGINT": "uint64",
    "FLOAT": "float32",
    "DOUBLE": "float64",
}
TEXTS = ("VARCHAR", "BLOB")

_VECTOR = re.compile(r"(FLOAT|DOUBLE)\[(\d*)\]")


def shapes(columns: dict[str, str]) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    """Return what an array of each column is: NumPy's type (texts: 'str') and shape without rows.

    Args:
        columns: name → DuckDB type.

    Raises:
        QueryError: a column's type cannot be in a tensor, and is no text.

    Example:
        >>> shapes({"id": "INTEGER", "fc6": "FLOAT[84]", "error": "VARCHAR"})
        {'id': ('int32', ()), 'fc6': ('float32', (84,)), 'error': ('str', ())}
    """
    found: dict[str, tuple[str, tuple[int | None, ...]]] = {}
    for name, kind in columns.items():
        if vector := _VECTOR.fullmatch(kind):
            found[name] = NUMBERS[vector[1]], (int(vector[2]) if vector[2] else None,)
        elif kind in NUMBERS or kind.startswith("DECIMAL("):
            found[name] = NUMBERS.get(kind, "float64"), ()
        elif kind in TEXTS:
            found[name] = "str", ()
        else:
            raise QueryError(
                f"column {name!r} is {kind}, which no tensor holds: leave it out of the SELECT, or "
                "cast it to a number, a list of FLOAT, or a text"
            )
    return found


def arrays(batch: pa.RecordBatch, columns: dict[str, str]) -> Arrays:
    """Return a batch as arrays, without a copy where Arrow's memory can be used as it is.

    Args:
        batch: rows.
        columns: name → DuckDB type of its columns.

    Returns:
        numbers (rows,), NULL in a FLOAT or DOUBLE being NaN; features (rows, values); texts and
        BLOBs as lists. Rows whose features are NULL are left out of all. Arrays may be read-only.

    Raises:
        QueryError: a column cannot be an array: an integer is NULL, vectors differ in length, …
    """
    wanted = shapes(columns)
    vectors = [place for place, name in enumerate(columns) if wanted[name][1]]
    for place in vectors:
        if batch.column(place).null_count:
            batch = batch.filter(batch.column(place).is_valid())
    found: Arrays = {}
    for name, column in zip(columns, batch.columns, strict=True):
        dtype, shape = wanted[name]
        if shape:
            found[name] = matrix(column, name).astype(dtype, copy=False)
        elif dtype == "str":
            found[name] = column.to_pylist()
        else:
            found[name] = _numbers(column, name, dtype)
    return found


def matrix(column: pa.Array, name: str) -> npt.NDArray[Any]:
    """Return lists of one length, none of them NULL, as (rows, values).

    Raises:
        QueryError: they differ in length.
    """
    import numpy as np

    if len(column) == 0:
        size = column.type.list_size if pa.types.is_fixed_size_list(column.type) else 0
        return np.zeros((0, size), np.float32)
    if len(pc.list_value_length(column).unique()) > 1:
        raise QueryError(f"the rows of {name!r} differ in length")
    values: npt.NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1)


def _numbers(column: pa.Array, name: str, dtype: str) -> npt.NDArray[Any]:
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if column.null_count and not pa.types.is_floating(column.type):
        raise QueryError(
            f"column {name!r} has a NULL, which no tensor of {dtype} holds: leave such rows out "
            f"(WHERE {name} IS NOT NULL), or give them a value (coalesce)"
        )
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values.astype(dtype, copy=False)


def torch_dataset(stream: Any) -> Any:
    """Return a torch.utils.data.IterableDataset over what `stream()` yields, batches of arrays."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise HostError(f".torch() needs PyTorch ({error}): pip install torch") from error

    class Batches(torch.utils.data.IterableDataset):  # type: ignore[misc,name-defined,unused-ignore]
        """A statement's rows, a dict of tensors a batch."""

        def __iter__(self) -> Any:
            if torch.utils.data.get_worker_info() is not None:
                raise HostError(
                    "a statement's rows are read in the process that runs it: give the DataLoader "
                    "num_workers=0"
                )
            for batch in stream():
                yield {
                    name: values if isinstance(values, list) else torch.from_dlpack(values)
                    for name, values in batch.items()
                }

    return Batches()


def tf_dataset(stream: Any, columns: dict[str, str], tf: Any) -> Any:
    """Return a tf.data.Dataset over what `stream()` yields, batches of arrays.

    Args:
        stream: starts the statement.
        columns: name → DuckDB type.
        tf: the module.
    """

    def batches() -> Any:
        for batch in stream():
            yield {
                name: ["" if v is None else v for v in values]
                if isinstance(values, list)
                else values
                for name, values in batch.items()
            }

    signature = {
        name: tf.TensorSpec((None, *shape), tf.string if dtype == "str" else tf.as_dtype(dtype))
        for name, (dtype, shape) in shapes(columns).items()
    }
    return tf.data.Dataset.from_generator(batches, output_signature=signature)
