"""Distinct: Fused over rows sorted by image, so that an image of many rows is inferred once."""

from __future__ import annotations

from vista_sql.planning.plans import PlanKind, Sort, Stage, fused
from vista_sql.planning.workload import Workload


def stages(workload: Workload) -> tuple[Stage, ...]:
    """Return Fused's stage behind a sort."""
    inference = fused.stages(workload)
    return (Sort(), *inference) if inference else ()


PLAN = PlanKind(
    "distinct", "fused, each distinct image once where rows share images", stages, order=1
)
