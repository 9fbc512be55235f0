"""Statements that feed rows to a run of ours and show the rows that it returns."""

from __future__ import annotations

from vista_sql.sql.calls import Planner
from vista_sql.sql.quoting import identifier, text_literal


def streamed(kind: str, order: str, relation: str, planner: Planner, columns: str = "*") -> str:
    """Return a SELECT that feeds a relation's rows to the run of an order, ends it, and shows it.

    The run's id is made when the statement runs; MATERIALIZED and the volatile kernels keep it one.
    The outer join lets the run end, with an error that says so, when there are no rows.

    Args:
        kind: of the run, a file of `udfs/fed/`.
        order: as `fed_runs.order_of` writes it.
        relation: the rows, as text that can stand after FROM; all their columns are fed.
        planner: makes names.
        columns: of the run's result.
    """
    if not planner.calls_in_sql:
        return planner.fed(kind, order, relation, columns)
    run, fed, row, n = (planner.fresh_name(role) for role in ("run", "fed", "row", "n"))
    id_ = planner.fresh_name("id")
    run, fed, row, n, id_ = (identifier(name) for name in (run, fed, row, n, id_))
    return (
        f"WITH {run} AS MATERIALIZED (SELECT vista_begin({text_literal(order)}) AS {id_}), "
        f"{fed} AS MATERIALIZED (SELECT {id_}, count(vista_feed({id_}, {row})) "
        f"AS {n} FROM {run}, {planner.fenced(relation)} AS {row} GROUP BY {id_}) "
        f"SELECT {columns} FROM (SELECT unnest(vista_finish_{kind}({run}.{id_}, {fed}.{n}), "
        f"recursive := true) FROM {run} LEFT JOIN {fed} ON {run}.{id_} = {fed}.{id_})"
    )
