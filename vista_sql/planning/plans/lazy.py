"""Lazy: every layer in a pass of its own, straight from the image (Vista, 4.2.1, plan A)."""

from __future__ import annotations

from vista_sql.planning.plans import Infer, PlanKind, Stage, passes
from vista_sql.planning.workload import Workload


def stages(workload: Workload) -> tuple[Stage, ...]:
    """Return one stage a layer."""
    return tuple(
        Infer(None, (layer,), "features", cnn)
        for cnn, layers in passes(workload)
        for layer in layers
    )


PLAN = PlanKind("lazy", "a pass of its own for each layer, from the image", stages, order=4)
