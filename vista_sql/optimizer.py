"""Choose a workload's plan: hints restrict the candidates, memory excludes, preference picks."""

from __future__ import annotations

from dataclasses import dataclass

from vista_sql import cost, memory, plans
from vista_sql.errors import PlanError
from vista_sql.plans import Alternative, Decision, Plan, Stage
from vista_sql.resources import Capabilities, Resources
from vista_sql.settings import Value
from vista_sql.units import format_bytes
from vista_sql.workload import Workload


@dataclass(frozen=True, slots=True)
class Hints:
    """What the user asks of the plan; each restricts the search, none is needed."""

    plan: Value
    placement: Value
    batch_rows: Value
    threads: Value


def choose(
    workload: Workload, resources: Resources, capabilities: Capabilities, hints: Hints
) -> Plan:
    """Return the plan to run.

    Raises:
        UnknownNameError: a hint names a plan that does not exist.
        PlanError: the plan does not fit in memory even with the smallest micro-batch.
    """
    kind, why = _kind(workload, hints)
    stages = plans.load(kind).stages(workload)
    placement = _placement(workload, hints)
    batch = _batch_rows(workload, stages, resources, capabilities, hints)
    vector_rows = batch if capabilities.small_batches else capabilities.vector_rows
    alternatives = tuple(
        Alternative(
            name,
            memory.peak_bytes(workload, other, batch, vector_rows),
            cost.flops_per_image(other),
            "" if name != "distinct" else "each distinct image once",
        )
        for name in plans.names()
        if (other := plans.load(name).stages(workload)) or name == kind
    )
    return Plan(
        kind,
        placement.chosen,
        stages,
        batch,
        hints.threads.value,
        memory.peak_bytes(workload, stages, batch, vector_rows),
        cost.flops_per_image(stages),
        (
            Decision("plan", kind, why, alternatives),
            placement,
            _batch_decision(batch, hints),
            Decision(
                "memory limit",
                format_bytes(resources.memory_bytes),
                resources.memory_source,
            ),
        ),
    )


def _kind(workload: Workload, hints: Hints) -> tuple[str, str]:
    if hints.plan.value is not None:
        return hints.plan.value, f"as given: {hints.plan.source}"
    if not workload.used_taps:
        return "fused", "no layer is used: nothing is inferred"
    facts = workload.facts
    if facts.images is not None and facts.distinct_images is not None:
        if facts.distinct_images < facts.images:
            shared = f"{facts.images:,} rows share {facts.distinct_images:,} images"
            return "distinct", f"{shared}: each is inferred once"
        return "fused", "one pass computes every layer, and no two rows share an image"
    return "fused", "one pass computes every layer, and no raw map leaves it"


def _placement(workload: Workload, hints: Hints) -> Decision:
    if workload.structured is None:
        return Decision("placement", "after", "there is no join")
    if hints.placement.value is not None:
        return Decision("placement", hints.placement.value, f"as given: {hints.placement.source}")
    return Decision(
        "placement", "after", "rows that the join or a filter removes are never inferred"
    )


def _batch_rows(
    workload: Workload,
    stages: tuple[Stage, ...],
    resources: Resources,
    capabilities: Capabilities,
    hints: Hints,
) -> int:
    """Return the rows of a micro-batch: the hint's, else what is fast and fits."""
    a_row = memory.bytes_per_row(workload, stages)
    if not a_row:
        return hints.batch_rows.value or capabilities.vector_rows

    def peak(rows: int) -> int:
        vector_rows = rows if capabilities.small_batches else capabilities.vector_rows
        return memory.peak_bytes(workload, stages, rows, vector_rows)

    rows = hints.batch_rows.value or max(
        memory.FEWEST_ROWS, min(memory.MOST_ROWS, memory.MICRO_BATCH_BYTES // a_row)
    )
    while rows > memory.FEWEST_ROWS and peak(rows) > resources.memory_bytes:
        rows //= 2
    rows = max(rows, 1)
    if peak(rows) > resources.memory_bytes:
        short = peak(rows) - resources.memory_bytes
        raise PlanError(
            f"{workload.cnn.name} needs {format_bytes(peak(rows))} even with {rows} images at a "
            f"time, {format_bytes(short)} ({short} bytes) more than the limit of "
            f"{format_bytes(resources.memory_bytes)} ({resources.memory_source}); raise "
            f"memory_limit to {format_bytes(peak(rows))}, ask for fewer or higher layers, or pool "
            "more"
        )
    return rows


def _batch_decision(batch: int, hints: Hints) -> Decision:
    if hints.batch_rows.value is None:
        why = f"at most {format_bytes(memory.MICRO_BATCH_BYTES)} in one micro-batch"
    elif hints.batch_rows.value == batch:
        why = f"as given: {hints.batch_rows.source}"
    else:
        why = f"{hints.batch_rows.value} as given does not fit in memory"
    return Decision("batch rows", str(batch), why)
