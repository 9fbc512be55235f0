"""Lazy: every layer in a pass of its own, straight from the image (Vista, 4.2.1, plan A)."""

from __future__ import annotations

from vista_sql.plans import Infer, PlanKind, Stage
from vista_sql.workload import Workload


def stages(workload: Workload) -> tuple[Stage, ...]:
    """Return one stage a layer."""
    return tuple(Infer(None, (tap.layer,), "features") for tap in workload.used_taps)


PLAN = PlanKind("lazy", "a pass of its own for each layer, from the image", stages)
