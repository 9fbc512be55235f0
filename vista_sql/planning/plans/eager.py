"""Eager: one pass that materializes every raw map, pooled after (Vista, section 4.2.1, plan C)."""

from __future__ import annotations

from vista_sql.planning.plans import Infer, PlanKind, Pool, Stage, passes
from vista_sql.planning.workload import Workload


def stages(workload: Workload) -> tuple[Stage, ...]:
    """Return the pass, then the pooling of each layer."""
    found: list[Stage] = []
    for cnn, layers in passes(workload):
        found += [Infer(None, layers, "maps", cnn), *(Pool(layer, cnn) for layer in layers)]
    return tuple(found)


PLAN = PlanKind("eager", "one pass that materializes all raw maps, pooled after", stages, order=3)
