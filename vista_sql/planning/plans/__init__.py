"""The ways from images to layers: each is stages, in order.

`plans/<name>.py` holds `PLAN = PlanKind(...)`. The optimizer prices each, `calls` prints the stages
of the chosen one as SQL, `explain` prints them for people.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from vista_sql import catalog
from vista_sql.errors import UnknownNameError
from vista_sql.kernels import Lending
from vista_sql.planning.workload import Workload
from vista_sql.roster import Layer

PACKAGE = "vista_sql.planning.plans"

Form = Literal["features", "maps"]
"""What leaves a call of the network: pooled features, or raw maps for a later stage."""


class Infer(Struct, frozen=True):
    """One call of the network: from the image (start None) or a raw map, to some layers."""

    start: Layer | None
    layers: tuple[Layer, ...]
    form: Form
    cnn: str = ""  # whose layers they are, where they are not the workload's
    base: Layer | None = None  # images whose raw map of it is at hand start there
    materialize: tuple[Layer, ...] = ()  # layers whose raw maps are put in the store
    lends: tuple[Lending, ...] = ()  # layers whose raw maps later stages, of other CNNs, start from
    borrows: str = ""  # the computation of the base, if an earlier stage lends its maps


class Pool(Struct, frozen=True):
    """Pool a layer's raw map, which an earlier stage left, to features."""

    layer: Layer
    cnn: str = ""


class Sort(Struct, frozen=True):
    """Bring rows of equal images together, so that each image is inferred once."""


Stage = Infer | Pool | Sort


class PlanKind(Struct, frozen=True):
    """One way to get from images to layers; `stages` is empty where no layer is used."""

    name: str
    meaning: str
    stages: Callable[[Workload], tuple[Stage, ...]]
    order: int = 100  # between plans of equal price the least wins: the one with fewer steps
    only_by_hint: bool = False  # it is never the optimizer's own choice


def passes(workload: Workload) -> list[tuple[str, tuple[Layer, ...]]]:
    """Group the used layers by CNN: (its name, or "" for the call's own; its layers)."""
    return [
        ("" if cnn.name == workload.cnn.name else cnn.name, tuple(tap.layer for tap in taps))
        for cnn, taps in workload.passes
    ]


def names() -> tuple[str, ...]:
    """Return the names of the plans, sorted."""
    return catalog.names(PACKAGE)


def load(name: str) -> PlanKind:
    """Return the plan called `name`.

    Raises:
        UnknownNameError: there is no such plan.
    """
    if name not in names():
        raise UnknownNameError("plan", name, names())
    return catalog.load(PACKAGE, name, "PLAN", PlanKind)
