"""VISTA_EXPLAIN: how a SELECT would run and why, a row per fact; measured, how it did run."""

from __future__ import annotations

from msgspec.structs import astuple

from vista_sql.kernels import EXPLANATION, MeasureSpec
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import Flag, Text
from vista_sql.sql.quoting import identifier, text_literal, values_table


def expand(call: Call, planner: Planner) -> str:
    """Return the facts as a constant table; measured, a SELECT that runs the statement first."""
    measure = call.get("measure")
    explained = planner.explained(call, "sql", runs=measure)
    if not measure:
        return values_table(EXPLANATION, [astuple(fact) for fact in explained.facts])
    spec = MeasureSpec(explained.facts, explained.run, explained.whole_run)
    order, run = text_literal(spec.to_text()), text_literal(explained.run)
    begun, id_, n = (identifier(planner.fresh_name(role)) for role in ("begun", "id", "n"))
    every, row = (identifier(planner.fresh_name(role)) for role in ("every", "row"))
    # the hash reads every value of every column, so that DuckDB leaves nothing out, nor a sort
    return (
        f"WITH {begun} AS MATERIALIZED (SELECT vista_measure({run}) AS {id_}) "
        f"SELECT unnest(vista_measured({order}, {n}, {every}), recursive := true) "
        f"FROM (SELECT count(*) AS {n}, bit_xor(hash(*COLUMNS(*))) AS {every} "
        f"FROM {begun}, (\n{explained.text}\n) AS {row})"
    )


FUNCTION = TableFunction(
    name="vista_explain",
    arguments=(
        Argument(
            "sql", "the statement to explain", Text("a SELECT as text, $$SELECT …$$"), required=True
        ),
        Argument("measure", "run it once, all columns, and show what it took", Flag(), False),
    ),
    expand=expand,
    meaning="how a SELECT would run, and why; measured, how it ran",
)
