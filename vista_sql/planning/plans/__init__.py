"""A plan is data: which stages, in which order, with which sizes, and why.

`plans/<name>.py` holds `PLAN = PlanKind(...)`, one way to get from images to layers. The optimizer
prices each, `rewrite` prints the chosen one as SQL, `explain` prints it for people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from vista_sql import catalog
from vista_sql.errors import UnknownNameError
from vista_sql.planning.workload import Workload
from vista_sql.roster import Layer

PACKAGE = "vista_sql.planning.plans"


@dataclass(frozen=True, slots=True)
class Infer:
    """One call of the network: from the image (start None) or a raw map, to some layers.

    `form` is what leaves the call: pooled 'features', or raw 'maps' for a later stage.
    """

    start: Layer | None
    layers: tuple[Layer, ...]
    form: Literal["features", "maps"]
    cnn: str = ""  # whose layers they are, where they are not the workload's
    base: Layer | None = None  # images whose raw map of it is stored start there
    keep: tuple[Layer, ...] = ()  # layers whose raw maps are put in the store


@dataclass(frozen=True, slots=True)
class Pool:
    """Pool a layer's raw map, which an earlier stage left, to features."""

    layer: Layer
    cnn: str = ""


@dataclass(frozen=True, slots=True)
class Sort:
    """Bring rows of equal images together, so that each image is inferred once."""


Stage = Infer | Pool | Sort


@dataclass(frozen=True, slots=True)
class Alternative:
    """A plan that was possible: what it would have cost."""

    name: str  # of the plan
    placement: str
    start: str  # 'image', or the stored layer
    seconds: float
    peak_bytes: int
    images_inferred: int
    layer_evaluations: int
    flops_per_image: int
    stages: tuple[Stage, ...]
    chosen: bool = False
    note: str = ""  # why it could not be chosen, where it is cheaper


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice: what was chosen, and why."""

    what: str
    chosen: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How one TRANSFER call runs. Equal inputs give equal plans."""

    kind: str
    placement: str  # inference 'after' or 'before' the join
    stages: tuple[Stage, ...]
    batch_rows: int
    threads: int | None
    peak_bytes: int
    flops_per_image: int
    seconds: float = 0.0  # estimated
    images_inferred: int = 0  # estimated
    layer_evaluations: int = 0  # estimated
    decisions: tuple[Decision, ...] = ()
    alternatives: tuple[Alternative, ...] = ()  # all that there are, the cheapest first


@dataclass(frozen=True, slots=True)
class PlanKind:
    """One way to get from images to layers; `stages` is empty where no layer is used."""

    name: str
    meaning: str
    stages: Callable[[Workload], tuple[Stage, ...]]
    only_by_hint: bool = False  # it is never the optimizer's own choice


def passes(workload: Workload) -> list[tuple[str, tuple[Layer, ...]]]:
    """Return the layers to compute by the CNN whose they are, "" for the workload's own."""
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
