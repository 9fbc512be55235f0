"""A layer of a network, pooled → the map whose places its features are sums or maxima of."""

from __future__ import annotations

from msgspec import Struct

from vista_sql.errors import ModelError
from vista_sql.kernels import POOLS

from ..network.graph import Graph
from ..network.steps import GlobalPool, Identity, Pooling, Reduction, Reshape, Step

POOL_OF: dict[Reduction, str] = {"mean": "gap", "max": "gmp"}


class Below(Struct, frozen=True):
    """A map, and the pooling of it that is a layer's features."""

    layer: str
    pool: str  # one of vista_sql.kernels.POOLS
    shape: tuple[int, int, int]  # height, width, channels


def below(graph: Graph, layer: str, pool: str) -> Below:
    """Return the map below a layer's features: its own, or what a layer without places pools.

    Args:
        graph: the network.
        layer: of it.
        pool: how the layer is pooled, if it is a map.

    Raises:
        ModelError: the features are no pooling of a map.
        UnknownNameError: the network has no such layer.
    """
    graph.check(layer)
    step, how = graph.steps[layer], pool
    while True:
        inner = graph.steps[step.inputs[0]] if step.inputs else None
        is_map = len(step.shape or ()) == 3
        reduction = None if inner is None else _over_all(step, inner)
        if inner is not None and reduction is not None and not (is_map and how == "gem"):
            return Below(inner.name, POOL_OF[reduction], _map(inner))
        if is_map:
            if how not in POOLS:
                break
            return Below(step.name, how, _map(step))
        if inner is None or not isinstance(step.operation, Reshape | Identity):
            break
        step, how = inner, "none"  # the same values, row-major
    raise ModelError(
        f"layer {layer!r} (pool => {pool!r}) has no places: its values are no pooling of a feature "
        "map, so what each place adds is not defined; method => 'occlusion' takes it, or train on "
        "a layer that is a map"
    )


def _over_all(step: Step, inner: Step) -> Reduction | None:
    """Return what a step makes of each channel of all of a map; None: it does something else."""
    if len(inner.shape or ()) != 3 or None in (inner.shape or ()):
        return None
    match step.operation:
        case GlobalPool(reduction):
            return reduction
        case Pooling(reduction, size, padding="valid") if size == _map(inner)[:2]:
            return reduction
    return None


def _map(step: Step) -> tuple[int, int, int]:
    height, width, channels = (side or 1 for side in step.shape or ())
    return height, width, channels
