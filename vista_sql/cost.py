"""What a plan costs: floating-point operations, from shapes alone. Pure functions."""

from __future__ import annotations

from vista_sql.plans import Infer, Pool, Sort, Stage
from vista_sql.workload import Workload, pooled_values


def flops_per_image(stages: tuple[Stage, ...]) -> int:
    """Return the floating-point operations that the stages spend on one image."""
    total = 0
    for stage in stages:
        if isinstance(stage, Infer):
            below = stage.start.flops if stage.start else 0
            total += max(layer.flops for layer in stage.layers) - below
    return total


def images_inferred(workload: Workload, stages: tuple[Stage, ...], placement: str) -> int | None:
    """Return the images that pass the network, at most: equal ones that meet are inferred once.

    None where the data is not known, or is not the rows that are inferred (before the join).
    """
    passes = sum(isinstance(stage, Infer) and stage.start is None for stage in stages)
    if not passes:
        return 0
    facts = workload.facts
    each_once = any(isinstance(stage, Sort) for stage in stages)
    images = facts.distinct_images if each_once else facts.images
    if images is None or (placement == "before" and workload.structured is not None):
        return None
    return passes * images


def describe(stage: Stage, workload: Workload) -> str:
    """Return a stage as one line of text."""
    if isinstance(stage, Sort):
        return "sort rows by image"
    if isinstance(stage, Pool):
        values = pooled_values(stage.layer.shape, workload.pool)
        return f"pool {stage.layer.name} ({workload.pool}) to {values:,} values"
    start = stage.start.name if stage.start else "image"
    start = f"{stage.cnn}: {start}" if stage.cnn else start
    layers = ", ".join(layer.name for layer in stage.layers)
    return f"infer {start} → {layers} as {stage.form}"
