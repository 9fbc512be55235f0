"""Staged: each layer from the raw map of the one before it (Vista, section 4.2.1, plan E)."""

from __future__ import annotations

from vista_sql.planning.plans import Infer, PlanKind, Pool, Stage, passes
from vista_sql.planning.workload import Workload
from vista_sql.roster import Layer


def stages(workload: Workload) -> tuple[Stage, ...]:
    """Return a stage and a pooling for each layer, from the bottom.

    A layer starts from the highest layer below it whose map alone determines it; where none of the
    layers does (branches of an inception block, say), it starts from the image.
    """
    found: list[Stage] = []
    for (name, layers), (cnn, _) in zip(passes(workload), workload.passes, strict=True):
        below: list[Layer] = []
        for layer in layers:
            starts = (start for start in reversed(below) if cnn.determines(start, layer))
            found += [Infer(next(starts, None), (layer,), "maps", name), Pool(layer, name)]
            below.append(layer)
    return tuple(found)


PLAN = PlanKind("staged", "each layer from the raw map of the layer before it", stages, order=2)
