"""Eager: one pass that materializes every raw map, pooled after (Vista, section 4.2.1, plan C)."""

from __future__ import annotations

from vista_sql.plans import Infer, PlanKind, Pool, Stage
from vista_sql.workload import Workload


def stages(workload: Workload) -> tuple[Stage, ...]:
    """Return the pass, then the pooling of each layer."""
    layers = tuple(tap.layer for tap in workload.used_taps)
    return (Infer(None, layers, "maps"), *map(Pool, layers)) if layers else ()


PLAN = PlanKind("eager", "one pass that materializes all raw maps, pooled after", stages)
