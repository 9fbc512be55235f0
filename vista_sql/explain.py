"""Plan → text: the only renderer, shared by db.explain(), VISTA_EXPLAIN and the command line."""

from __future__ import annotations

from collections.abc import Sequence

from vista_sql import cost
from vista_sql.functions.transfer import Transfer
from vista_sql.plans import Decision
from vista_sql.units import format_bytes, format_flops


def script(transfers: Sequence[Transfer], text: str) -> str:
    """Return the staged SQL: the rows of each staged call as a relation, then the statement."""
    parts = []
    for transfer in transfers:
        staged = transfer.staged
        if transfer.apart:
            rows = transfer.plan.batch_rows
            parts.append(
                f"-- {staged.rows_name}: read {rows} rows at a time\n"
                f"CREATE TEMP VIEW {staged.rows_name} AS\n{staged.rows};"
            )
    return "\n\n".join([*parts, f"{text.strip()};"])


def render(transfers: Sequence[Transfer], text: str) -> str:
    """Return how a statement would run. Equal plans give equal text."""
    parts = [_transfer(index, transfer) for index, transfer in enumerate(transfers, 1)]
    if not parts:
        parts = ["no TRANSFER: DuckDB runs the statement as it is"]
    return "\n\n".join([*parts, f"staged SQL\n{script(transfers, text)}"])


def _transfer(index: int, transfer: Transfer) -> str:
    workload, plan = transfer.workload, transfer.plan
    lines = [f"TRANSFER {index}: {workload.cnn.name}, {len(workload.taps)} layers asked"]
    used = ", ".join(tap.column for tap in workload.used_taps) or "none"
    lines.append(f"  layers computed: {used}")
    needs, facts = workload.needs, workload.facts
    below = [f"WHERE {' AND '.join(needs.predicates)}"] if needs.predicates else []
    if needs.sample:
        below.append(needs.sample)
    if needs.limit is not None:
        order = f"ORDER BY {', '.join(needs.order)} " if needs.order else ""
        below.append(f"{order}LIMIT {needs.limit}")
    lines.append(f"  below inference: {' '.join(below) or 'nothing'}")
    if facts.rows is not None:
        lines.append(f"  rows: {facts.rows:,}; distinct images: {facts.distinct_images:,}")
    if workload.weights == "random":
        lines.append(f"  weights: random (seed {workload.seed}): cost and parity, no quality")
    lines.append("  stages:")
    lines += [
        f"    {number}. {cost.describe(stage, workload)}"
        for number, stage in enumerate(plan.stages, 1)
    ] or ["    nothing is inferred"]
    lines.append(
        f"  per image: {format_flops(plan.flops_per_image)}; "
        f"peak: {format_bytes(plan.peak_bytes)} (estimated)"
    )
    for decision in plan.decisions:
        lines += _decision(decision)
    return "\n".join(lines)


def _decision(decision: Decision) -> list[str]:
    lines = [f"  {decision.what}: {decision.chosen} ({decision.why})"]
    for other in decision.alternatives:
        mark = "→" if other.name == decision.chosen else " "
        note = f", {other.note}" if other.note else ""
        lines.append(
            f"    {mark} {other.name:<9} {format_flops(other.flops_per_image):>13} per image, "
            f"{format_bytes(other.peak_bytes):>10} peak{note}"
        )
    return lines
