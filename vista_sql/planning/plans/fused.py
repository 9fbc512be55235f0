"""Fused: one pass reads off every layer and pools inside the graph; no raw map leaves the batch."""

from __future__ import annotations

from vista_sql.planning.plans import Infer, PlanKind, Stage, passes
from vista_sql.planning.workload import Workload


def stages(workload: Workload) -> tuple[Stage, ...]:
    """Return the one stage; one for each CNN where there are several."""
    return tuple(Infer(None, layers, "features", cnn) for cnn, layers in passes(workload))


PLAN = PlanKind(
    "fused", "one pass for all layers, pooled inside the network's graph", stages, order=0
)
