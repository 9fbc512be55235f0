"""Fused: one pass reads off every layer and pools inside the graph; no raw map leaves the batch."""

from __future__ import annotations

from vista_sql.plans import Infer, PlanKind, Stage
from vista_sql.workload import Workload


def stages(workload: Workload) -> tuple[Stage, ...]:
    """Return the one stage."""
    layers = tuple(tap.layer for tap in workload.used_taps)
    return (Infer(None, layers, "features"),) if layers else ()


PLAN = PlanKind("fused", "one pass for all layers, pooled inside the network's graph", stages)
