"""What a host can do, as data: differences between hosts are fields here, not branches."""

from __future__ import annotations

from msgspec import Struct

from vista_sql.sql.dialect import DUCKDB, Dialect
from vista_sql.sql.edit import Sink


class Capabilities(Struct, frozen=True, kw_only=True):
    """What a host can do."""

    dialect: Dialect = DUCKDB  # of the SQL that it reads and prints
    vector_rows: int = 2048  # most rows in one call of a kernel: DuckDB's STANDARD_VECTOR_SIZE
    small_batches: bool = False  # can hand rows to the kernels in batches of the plan's size
    calls_in_sql: bool = True  # kernels are SQL functions; else its rows go to them as data
    sink: Sink = "rows"  # where the rows of the statement go
    lifts_filters: bool = False  # its optimizer may lift a filter from below kernels and a join

    def call_rows(self, batch_rows: int) -> int:
        """Return the most rows in one call of a kernel, for a plan of `batch_rows`."""
        return batch_rows if self.small_batches else self.vector_rows
