"""The narrow rows of a staged call, handed to the engine in batches of the plan's size."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.ipc

from vista_sql.hosts.duckdb.process import process
from vista_sql.sql.quoting import text_literal

Progress = Callable[[int], None]
"""Called with the number of rows of each batch as it is handed out, and with 0 after the last."""

Waiting = Callable[[], AbstractContextManager[None]]
"""Makes what encloses the reading of each batch."""


class NarrowRows:
    """A relation that hands out record batches of at most `batch_rows` rows; may be read again.

    DuckDB reads it by Arrow's PyCapsule interface, a stream for every scan, and takes one record
    batch as one chunk, so that a kernel is called with `batch_rows` rows. It is no
    `pyarrow.dataset.Dataset`, which the same could be done with: that module imports pandas.
    """

    def __init__(
        self,
        schema: pa.Schema,
        read: Callable[[], Iterator[pa.RecordBatch]],
        progress: Progress,
        waiting: Waiting,
    ) -> None:
        self.schema, self._read, self._progress = schema, read, progress
        self._waiting = waiting

    def __arrow_c_schema__(self) -> Any:
        """Return the columns as a capsule."""
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return a capsule of a stream that starts from the first row."""
        reader = pa.RecordBatchReader.from_batches(self.schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        read = self._read()
        while True:
            with self._waiting():
                try:
                    batch = next(read, None)
                except (duckdb.Error, OSError) as error:  # of what the rows' query computes
                    kind = type(error) if isinstance(error, duckdb.Error) else duckdb.Error
                    process().failures.add(kind(str(error).partition("\n")[0]))
                    raise
            if batch is None:
                break
            self._progress(batch.num_rows)
            yield batch
        self._progress(0)


def streamed(
    con: duckdb.DuckDBPyConnection,
    query: str,
    batch_rows: int,
    progress: Progress,
    waiting: Waiting = contextlib.nullcontext,
) -> NarrowRows:
    """Return rows that a connection of their own reads while the statement runs."""
    session = _session(con)
    with con.cursor() as cursor:
        schema = _schema(cursor, query)

    def read() -> Iterator[pa.RecordBatch]:
        with con.cursor() as cursor:
            cursor.execute(session)
            yield from cursor.sql(query).to_arrow_reader(batch_rows)

    return NarrowRows(schema, read, progress, waiting)


def _session(con: duckdb.DuckDBPyConnection) -> str:
    """Return a statement that sets what a connection alone has set and rows can depend on."""
    names = ("TimeZone", "Calendar")
    shown = ", ".join(f"current_setting('{name}')" for name in names)
    values = con.execute(f"SELECT {shown}").fetchall()[0]
    return "; ".join(f"SET {n} = {text_literal(v)}" for n, v in zip(names, values, strict=True))


def spooled(
    con: duckdb.DuckDBPyConnection,
    query: str,
    params: Any,
    batch_rows: int,
    progress: Progress,
    waiting: Waiting = contextlib.nullcontext,
) -> NarrowRows:
    """Return rows that are read now, on `con` itself, which alone may see them.

    They wait in a temporary file, which goes when the rows do.
    """
    reader = con.sql(query, params=params).to_arrow_reader(batch_rows)
    spool = tempfile.NamedTemporaryFile(prefix="vista_sql_rows_")  # noqa: SIM115  (read later)
    with pa.ipc.new_stream(spool, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    spool.flush()

    def read() -> Iterator[pa.RecordBatch]:
        with pa.OSFile(spool.name) as file, pa.ipc.open_stream(file) as stream:
            yield from stream

    rows = NarrowRows(reader.schema, read, progress, waiting)
    weakref.finalize(rows, spool.close)
    return rows


def _schema(con: duckdb.DuckDBPyConnection, query: str) -> pa.Schema:
    return con.sql(f"SELECT * FROM ({query}) LIMIT 0").to_arrow_table().schema


def counted(totals: list[int | None], report: Callable[[int, int | None], None]) -> Progress:
    """Return what is told of each batch of a statement's relations; `report` hears their sum.

    A batch is done when the next one is asked for, or when there is none (0 rows).

    Args:
        totals: the rows of each relation, None where unknown.
        report: called with (rows done, rows in all or None), by one thread at a time.
    """
    total = None if None in totals else sum(rows or 0 for rows in totals)
    done, lock = 0, threading.Lock()

    def handed_out(n_rows: int) -> None:
        nonlocal done
        with lock:
            report(done, total)
            done += n_rows

    return handed_out
