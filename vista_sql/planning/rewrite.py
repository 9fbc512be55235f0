"""Workload + plan → staged SQL: the narrow rows that are needed, then the kernel calls upon them.

The rows stand apart from the calls: a host that can hand rows to the kernels in small batches runs
`rows` by itself and reads it under `rows_name`; any other host takes `whole`, one SELECT.
"""

from __future__ import annotations

from dataclasses import dataclass

from vista_sql.planning.calls import Calls, base_spec
from vista_sql.planning.optimizer import Plan
from vista_sql.planning.plans import Sort
from vista_sql.planning.rows import Identifiers, Marks, image_rows, indent, joined_rows, marked
from vista_sql.planning.workload import Workload


@dataclass(frozen=True, slots=True)
class Staged:
    """The staged SQL of one TRANSFER call."""

    rows: str  # SELECT of the narrow rows: structured columns, image, key
    rows_name: str
    calls: str  # SELECT over the relation `rows_name`
    whole: str  # the same as one SELECT


def stage(
    workload: Workload, plan: Plan, name: str, *, run: str = "", folder: str = "", gate: str = ""
) -> Staged:
    """Return the staged SQL of a planned TRANSFER call.

    Args:
        workload: what is computed.
        plan: how.
        name: an identifier that no user's name equals; generated ones begin with it.
        run: the run that the kernels count in.
        folder: what relative image paths are relative to.
        gate: of a training that may say it has seen enough; "" of none.
    """
    marks, names, chosen = Marks(), Identifiers(name), plan.chosen
    workload = marked(workload, marks.of)
    before = chosen.placement == "before" and workload.structured is not None
    narrow = image_rows if before else joined_rows
    rows = narrow(workload, names, is_sorted=any(isinstance(s, Sort) for s in chosen.stages))
    spec = base_spec(workload, run=run, folder=folder, gate=gate)
    calls = Calls(workload, plan, names, spec)
    whole = calls.select(f"(\n{indent(rows)}\n)")
    return Staged(
        marks.resolved(rows),
        names.rows,
        marks.resolved(calls.select(names.rows)),
        marks.resolved(whole),
    )
