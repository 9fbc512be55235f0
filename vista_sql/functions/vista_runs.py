"""VISTA_RUNS(): a row per run of the home folder, newest first."""

from __future__ import annotations

from vista_sql import runs
from vista_sql.sql.calls import Call, Planner, TableFunction
from vista_sql.sql.quoting import values_table

COLUMNS = {
    "run_id": "VARCHAR",
    "started": "TIMESTAMP",  # UTC; with a zone, Python would ask for one more library
    "statement": "VARCHAR",
    "plan": "VARCHAR",
    "rows": "BIGINT",
    "images": "BIGINT",
    "images_inferred": "BIGINT",
    "images_from_store": "BIGINT",
    "errors": "BIGINT",
    "seconds": "DOUBLE",
    "peak_bytes": "BIGINT",
}


def expand(call: Call, planner: Planner) -> str:
    """Return a row for each run of the database's home folder."""
    del call
    rows = [[getattr(run, name) for name in COLUMNS] for run in runs.read(planner.home)]
    return values_table(COLUMNS, rows)


FUNCTION = TableFunction("vista_runs", (), expand, "a row per run, newest first")
