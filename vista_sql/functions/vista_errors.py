"""VISTA_ERRORS(): a row per image that could not be read, with the reason."""

from __future__ import annotations

from vista_sql import runs
from vista_sql.sql.calls import Call, Planner, TableFunction
from vista_sql.sql.quoting import values_table

COLUMNS = {"run_id": "VARCHAR", "key": "VARCHAR", "error": "VARCHAR"}


def expand(call: Call, planner: Planner) -> str:
    """Return a row for each unreadable image of each run, newest run first."""
    del call
    rows = [
        (run.run_id, key, reason) for run in runs.read(planner.home) for key, reason in run.reasons
    ]
    return values_table(COLUMNS, rows)


FUNCTION = TableFunction("vista_errors", (), expand, "the images that could not be read")
