"""Vista: Staged with the memory, the cores and the partitions of the paper's own optimizer."""

from __future__ import annotations

from vista_sql.planning.plans import PlanKind, staged

PLAN = PlanKind(
    "vista",
    "the paper's policy: staged, after the join, sized by its Algorithm 1",
    staged.stages,
    only_by_hint=True,
)
