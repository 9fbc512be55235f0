"""A bound statement → its rows: run once, kept or streamed, as Arrow, frames, arrays or tensors."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from vista_sql import catalog, kernels, values
from vista_sql.errors import (
    HostError,
    PlanError,
    QueryError,
    StreamedError,
    UnknownNameError,
)
from vista_sql.units import format_bytes, format_count

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl
    import tensorflow as tf
    import torch

    Arrays: TypeAlias = dict[str, npt.NDArray[Any] | list[str | bytes | None]]
    Stream: TypeAlias = Callable[[], Iterator[Arrays]]

DEFAULT_ROWS = 256
"""Rows in a batch: wide rows (100,000 floats are 400 KB) would not fit many at a time."""

SHOWN_ROWS = 20  # under a notebook's cell

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


class Result:
    """The rows of one statement.

    Nothing runs before the rows are first asked for. `reader()`, iteration, `torch()` and `tf()`
    stream them, and so does what reads Arrow's PyCapsule protocol (`pyarrow.table(result)`); every
    other method keeps them, so that several may be called, and streams then read what is kept.
    """

    def __init__(
        self,
        columns: Iterable[tuple[str, str]],
        open_reader: Callable[[int], Iterator[pa.RecordBatch]],
        schema: pa.Schema | None = None,
        kept_bytes: int | None = None,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Wrap a statement that is bound but has not run.

        Args:
            columns: (name, DuckDB type) of each; names may be equal.
            open_reader: runs the statement, given the most rows in a batch; called at most once.
            schema: of the batches, if known before they are read.
            kept_bytes: most that may be kept in memory; None: any number.
            turn: encloses the beginning of the reading, as threads take turns on the connection.
        """
        self._columns, self._open, self._schema = tuple(columns), open_reader, schema
        self._kept_bytes, self._turn = kept_bytes, turn
        self._table: pa.Table | None = None
        self._streamed = False
        self._reading = threading.RLock()

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [name for name, _ in self._columns]

    @property
    def types(self) -> list[str]:
        """The DuckDB types of the columns."""
        return [kind for _, kind in self._columns]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Stream the rows, a pyarrow.RecordBatch at a time."""
        return iter(self.reader())

    def reader(self, rows: int = DEFAULT_ROWS) -> pa.RecordBatchReader:
        """Return a reader that runs the statement and streams its rows.

        Args:
            rows: most rows in a batch; there are fewer where they are wide.

        Raises:
            StreamedError: the rows were streamed before; a statement runs once.
        """
        if not self._refuse_streamed():
            with self._alone():
                if not self._refuse_streamed():
                    self._streamed = True
                    return self._opened(rows)
        return self.arrow().to_reader(max_chunksize=rows)

    def _opened(self, rows: int) -> pa.RecordBatchReader:
        """Run the statement up to its first batch."""
        batches = self._open(rows)
        first = next(batches, None)  # DuckDB has looked names up then
        if first is None:
            return pa.RecordBatchReader.from_batches(self._schema or pa.schema([]), iter(()))
        return pa.RecordBatchReader.from_batches(first.schema, self._all(first, batches))

    def _refuse_streamed(self) -> bool:
        """Return whether the rows are kept; refuse to read them where they were streamed."""
        if self._table is None and self._streamed:
            raise StreamedError(
                "the rows of this result were streamed already; run the statement again, or "
                "call .arrow() first to keep them"
            )
        return self._table is not None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Enclose reading: in a turn on the connection, then alone on this result.

        In this order always: who has the turn may read results that wait (`keep_unread`).
        """
        with self._turn(), self._reading:
            yield

    def _all(
        self, first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Yield batches, keeping the result: with it goes what the statement needs."""
        try:
            yield first
            yield from rest
        finally:
            if isinstance(rest, Generator):
                rest.close()  # before the result goes, also where only the first was read

    def arrow(self) -> pa.Table:
        """Return the rows as a pyarrow.Table.

        Raises:
            PlanError: they take more than the memory limit leaves beside what computes them.
        """
        if not self._refuse_streamed():
            with self._alone():
                if not self._refuse_streamed():
                    batches, reader, is_all = self._kept()
                    if not is_all:
                        self._streamed = True
                        reader.close()
                        raise PlanError(self._too_large())
                    self._table = pa.Table.from_batches(batches, reader.schema)
        assert self._table is not None  # noqa: S101 - it is kept once it was not refused
        return self._table

    def keep_unread(self) -> None:
        """Read the rows now and keep them, unless they were asked for before.

        What goes wrong is raised when they are asked for.
        """
        with self._alone():
            if self._streamed:
                return
            try:
                self.arrow()
            except Exception as error:
                self._open, self._streamed = partial(_failed, error), False

    def _kept(self) -> tuple[list[pa.RecordBatch], pa.RecordBatchReader, bool]:
        """Return batches, as many as may be kept, what reads on after them, and if they are all."""
        batches: list[pa.RecordBatch] = []
        kept_bytes = 0
        try:
            reader = self._opened(DEFAULT_ROWS)
            for batch in reader:
                batches.append(batch)
                kept_bytes += batch.nbytes
                if self._kept_bytes is not None and kept_bytes > self._kept_bytes:
                    return batches, reader, False
        except BaseException:
            self._streamed = True  # a statement runs once
            raise
        return batches, reader, True

    def _too_large(self) -> str:
        return (
            f"keeping these rows takes more than the {format_bytes(self._kept_bytes or 0)} that "
            "the memory limit leaves: read them in batches with reader(), write them with "
            "COPY … TO '….parquet', or raise memory_limit"
        )

    def df(self) -> pd.DataFrame:
        """Return the rows as a pandas DataFrame; a layer column holds one float32 array a row."""
        frame: pd.DataFrame = self.arrow().to_pandas()
        return frame

    def pl(self) -> pl.DataFrame:
        """Return the rows as a polars DataFrame; a layer column is an Array of Float32.

        Raises:
            HostError: polars is not installed.
        """
        try:
            import polars as pl
        except ModuleNotFoundError as error:
            raise HostError(
                f".pl() needs polars ({error}): pip install 'vista-sql[polars]'"
            ) from error
        frame = pl.from_arrow(self.arrow())
        return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows as tuples of the Python values that DuckDB's own connection gives."""
        return values.rows(self.arrow(), self.types)

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the first row as a tuple, as `fetchall` has it; None where there is none."""
        return next(iter(values.rows(self.arrow().slice(0, 1), self.types)), None)

    def numpy(self, layer: str | None = None) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        """Return the keys and one layer's features of the rows that have them.

        Args:
            layer: the layer's column; may be left out where there is one.

        Returns:
            (ids, X): ids (rows,) from the result's first column; X (rows, values) float32. Rows
            whose features are NULL are left out of both.

        Raises:
            UnknownNameError: there is no such column.
            QueryError: no layer is named and there is not exactly one; the first column holds
                features; or rows differ in length.
        """
        import numpy as np

        table = self.arrow()
        vectors = [f.name for f in table.schema if is_vector(f.type)]
        if layer is None and len(vectors) == 1:
            layer = vectors[0]
        if layer is None:
            found = ", ".join(vectors) or "none"
            raise QueryError(f"name one of the columns that hold features: {found}")
        if table.schema.names[0] in vectors:
            raise QueryError(
                f"the first column, {table.schema.names[0]!r}, holds features, where numpy() takes "
                "the keys from: select the key first"
            )
        called = [n for n, f in enumerate(table.schema) if f.name.lower() == layer.lower()]
        called = [place for place in called if is_vector(table.schema.field(place).type)]
        if not called:
            raise UnknownNameError("feature column", layer, vectors)
        if len(called) > 1:
            raise QueryError(f"{len(called)} columns are called {layer!r}: rename one, with AS")
        layer = table.column_names[called[0]]
        column = table.column(called[0]).combine_chunks()
        has_features = column.is_valid()
        ids = table.column(0).filter(has_features).to_numpy(zero_copy_only=False)
        features = matrix(column.filter(has_features), layer)
        return ids, features.astype(np.float32, copy=False)

    def torch(self, rows: int = DEFAULT_ROWS) -> torch.utils.data.IterableDataset[Any]:
        """Return a PyTorch dataset that streams the rows, a dict of tensors by column a batch.

        Numbers are tensors (rows,), features (rows, values), texts lists. Rows whose features are
        NULL are left out; NULL in a FLOAT or DOUBLE is NaN. Tensors share the memory of the rows:
        do not write into them. A DataLoader takes `batch_size=None`. Rows are streamed once: call
        `.arrow()` first to read them in several epochs.

        Args:
            rows: most rows in a batch.

        Raises:
            HostError: PyTorch is not installed; while it is read: the rows were streamed before.
            QueryError: a column can be no tensor; while it is read: an integer is NULL.
        """
        shapes(self._by_name())
        return _torch_dataset(lambda: self._arrays(rows))

    def tf(self, rows: int = DEFAULT_ROWS) -> tf.data.Dataset:
        """Return a TensorFlow dataset that streams the rows, a dict of tensors by column a batch.

        As `torch()` has it; texts are string tensors, NULL being ''.

        Args:
            rows: most rows in a batch.

        Raises:
            HostError: TensorFlow is not installed; while it is read: the rows were streamed before.
            QueryError: a column can be no tensor; while it is read: an integer is NULL.
        """
        process = catalog.module(kernels.PACKAGE, "network.engines.tensorflow.process")
        try:
            tensorflow, _ = process.load()
        except HostError as error:
            why = error.__cause__ or error
            raise HostError(
                f".tf() needs TensorFlow ({why}): pip install 'vista-sql[cpu]'"
            ) from error
        return _tf_dataset(lambda: self._arrays(rows), self._by_name(), tensorflow)

    def _arrays(self, rows: int) -> Iterator[Arrays]:
        columns = self._by_name()
        return (arrays(batch, columns) for batch in self.reader(rows))

    def _by_name(self) -> dict[str, str]:
        """Return name → DuckDB type.

        Raises:
            QueryError: names are equal.
        """
        names = self.columns
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise QueryError(f"several columns are called {twice!r}: rename one, with AS")
        return dict(self._columns)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.reader().__arrow_c_stream__(requested_schema)

    def show(self, rows: int = 20) -> None:
        """Print the first rows as a table; of long lists the first values and their number."""
        if self._columns:
            print(values.box(self.arrow().slice(0, rows), self.types))  # noqa: T201

    def _repr_html_(self) -> str:
        """Return the first rows for a notebook; a statement that has not run runs, and is kept.

        Where its rows cannot be kept, those read so far are put back: streams begin with them.
        """
        begun = self._kept_or_streamed()
        if begun is None:
            with self._alone():
                begun = self._kept_or_streamed() or self._begun()
        table, note = begun
        shown = table.slice(0, SHOWN_ROWS)
        if not note:
            more = "" if len(shown) == len(table) else f", the first {len(shown)} are shown"
            note = f"{format_count(len(table), 'row')}{more}"
        return values.html(shown, self.types, note)

    def _kept_or_streamed(self) -> tuple[pa.Table, str] | None:
        """Return the rows that are kept, or none and why; None: the statement has not run."""
        if self._table is None and self._streamed:
            nothing = [pa.nulls(0) for _ in self._columns]
            return pa.table(nothing, names=self.columns), "the rows were streamed already"
        return None if self._table is None else (self._table, "")

    def _begun(self) -> tuple[pa.Table, str]:
        """Run the statement; return its rows, the first ones if not all may be kept, and why."""
        batches, reader, is_all = self._kept()
        table = pa.Table.from_batches(batches, reader.schema)
        if is_all:
            self._table = table
            return table, ""
        self._open = lambda rows: _limited(chain(batches, reader), rows)
        return table, self._too_large()

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.arrow().num_rows)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {kind}" for name, kind in self._columns)
        return f"<vista_sql.Result ({shown})>"


def is_vector(kind: pa.DataType) -> bool:
    """Return whether an Arrow type is a list of floating-point numbers, of any length."""
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(
        (lists or pa.types.is_fixed_size_list(kind)) and pa.types.is_floating(kind.value_type)
    )


def _limited(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Yield batches of at most so many rows."""
    for batch in batches:
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def _failed(error: Exception, rows: int) -> Iterator[pa.RecordBatch]:
    del rows
    raise error


# ── batches as arrays, arrays as tensors ────────────────────────────────────────────────────────


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
    by_name: dict[str, tuple[str, tuple[int | None, ...]]] = {}
    for name, kind in columns.items():
        if vector := _VECTOR.fullmatch(kind):
            by_name[name] = NUMBERS[vector[1]], (int(vector[2]) if vector[2] else None,)
        elif kind in NUMBERS or kind.startswith("DECIMAL("):
            by_name[name] = NUMBERS.get(kind, "float64"), ()
        elif kind in TEXTS:
            by_name[name] = "str", ()
        else:
            raise QueryError(
                f"column {name!r} is {kind}, which cannot be a tensor: leave it out of the "
                "SELECT, or "
                "cast it to a number, a list of FLOAT, or a text"
            )
    return by_name


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
    by_column = shapes(columns)
    vectors = [place for place, name in enumerate(columns) if by_column[name][1]]
    for place in vectors:
        if batch.column(place).null_count:
            batch = batch.filter(batch.column(place).is_valid())
    by_name: Arrays = {}
    for name, column in zip(columns, batch.columns, strict=True):
        dtype, shape = by_column[name]
        if shape:
            by_name[name] = matrix(column, name).astype(dtype, copy=False)
        elif dtype == "str":
            by_name[name] = column.to_pylist()
        else:
            by_name[name] = _numbers(column, name, dtype)
    return by_name


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
            f"column {name!r} has a NULL, which a tensor of {dtype} cannot hold: leave such "
            "rows out "
            f"(WHERE {name} IS NOT NULL), or give them a value (coalesce)"
        )
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values.astype(dtype, copy=False)


def _torch_dataset(stream: Stream) -> torch.utils.data.IterableDataset[Any]:
    """Return a torch.utils.data.IterableDataset over what `stream()` yields, batches of arrays."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise HostError(f".torch() needs PyTorch ({error}): pip install torch") from error

    class Batches(torch.utils.data.IterableDataset):  # type: ignore[misc,name-defined,unused-ignore]
        """A statement's rows, a dict of tensors a batch."""

        def __iter__(self) -> Iterator[dict[str, Any]]:
            if torch.utils.data.get_worker_info() is not None:
                raise HostError(
                    "the rows can only be read in the process that runs the statement: give "
                    "the DataLoader "
                    "num_workers=0"
                )
            for batch in stream():
                yield {
                    name: values if isinstance(values, list) else torch.from_dlpack(values)
                    for name, values in batch.items()
                }

    return Batches()


def _tf_dataset(stream: Stream, columns: dict[str, str], tensorflow: Any) -> tf.data.Dataset:
    """Return a tf.data.Dataset over what `stream()` yields, batches of arrays.

    Args:
        stream: starts the statement.
        columns: name → DuckDB type.
        tensorflow: the module.
    """

    def batches() -> Iterator[Arrays]:
        for batch in stream():
            yield {
                name: ["" if v is None else v for v in values]
                if isinstance(values, list)
                else values
                for name, values in batch.items()
            }

    signature = {
        name: tensorflow.TensorSpec((None, *shape), "string" if dtype == "str" else dtype)
        for name, (dtype, shape) in shapes(columns).items()
    }
    return tensorflow.data.Dataset.from_generator(batches, output_signature=signature)
