"""Workload + machine → every way to run it that there is, priced: what the optimizer chooses from.

A candidate is a plan, where it stands to the join, and where it starts: the image, or a layer whose
raw maps are stored. Its micro-batch is the largest that is useful and fits. Raw maps on their way
from stage to stage stay as they are: they live as long as a micro-batch, and packing them takes
longer than moving them (the store packs what it keeps, without loss, where that pays).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from vista_sql.machine.calibration import DEFAULTS, Rates
from vista_sql.machine.resources import Resources
from vista_sql.planning import boxes, cost, memory, paper, plans, prefixes
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.executors import Executors
from vista_sql.planning.plans import Infer, Stage
from vista_sql.planning.workload import Prefix, Workload
from vista_sql.roster import Layer
from vista_sql.settings import Placement, Value


class Hints(Struct, frozen=True):
    """What the user asks of the plan; each restricts the search, none is needed."""

    plan: Value
    placement: Value
    batch_rows: Value
    threads: Value
    join: Value
    np: Value
    pers: Value
    cpu: Value


def _unset(name: str) -> Value:
    return Value(name, None, "default")


NO_HINTS = Hints(**{name: _unset(name) for name in Hints.__struct_fields__})


class Machine(Struct, frozen=True):
    """What a workload may use: cores and memory, what the host can do, hints, and rates."""

    resources: Resources
    capabilities: Capabilities
    hints: Hints = NO_HINTS
    rates: Rates = DEFAULTS
    executors: Executors | None = None  # of a cluster; None: all runs in one process

    @property
    def share_of_cores(self) -> float:
        """The cores that inference and decoding may use, of all."""
        threads = self.hints.threads.value or self.resources.cores
        return min(threads, self.resources.cores) / self.resources.cores


class Candidate(Struct, frozen=True):
    """One way to run a workload, priced."""

    kind: str  # the plan's name
    placement: Placement
    base: Layer | None  # whose stored raw maps are the start; None: the image
    stages: tuple[Stage, ...]
    batch_rows: int
    peak_bytes: int
    price: cost.Price
    why: str = ""  # reasons of a policy of its own
    note: str = ""  # why it cannot be chosen; "": it can

    @property
    def name(self) -> str:
        """The plan and its start in words."""
        start = "" if self.base is None else f", from stored {self.base.name}"
        return f"{self.kind}{start}"

    @property
    def flops_per_image(self) -> int:
        """The floating-point operations that its stages spend on one image."""
        return cost.flops_per_image(self.stages)

    def is_way_of(self, other: Candidate) -> bool:
        """Return whether both are the same way: plan, placement and start."""
        return (self.kind, self.placement, self.base) == (other.kind, other.placement, other.base)


def every(workload: Workload, machine: Machine) -> Iterator[Candidate]:
    """Yield the candidates for a workload, in no order.

    Args:
        workload: uses at least one layer.
        machine: sizes that its hints give are taken; a plan that is only run by hint is left out
            where the hint does not name it.
    """
    placements = _placements(workload, machine.hints)

    def pays(prefix: Prefix) -> bool:
        return cost.handing_on_pays(workload, prefix, machine.rates)

    for name in plans.names():
        kind = plans.load(name)
        if kind.only_by_hint:
            if machine.hints.plan.value == name:
                yield _papers(workload, machine)
            continue
        if not boxes.can_run(workload, kind.stages(workload)):
            continue
        whole = prefixes.lending(workload, kind.stages(workload), pays)
        for base, stages in _starts(workload, whole):
            rows = _batch_rows(workload, stages, machine)
            for placement in placements:
                yield _priced(workload, machine, name, placement, stages, rows, base)


def _papers(workload: Workload, machine: Machine) -> Candidate:
    """Return what the paper's own optimizer would run."""
    sizes = cost.Sizes.of(workload)
    policy = paper.policy(workload, machine.resources, image_bytes=sizes.image_bytes)
    assert policy is not None  # noqa: S101 - layers are used
    ((base, stages), *_) = _starts(workload, plans.load(policy.kind).stages(workload))
    rows = machine.hints.batch_rows.value or policy.batch_rows
    placement: Placement = machine.hints.placement.value or policy.placement
    found = _priced(workload, machine, "vista", placement, stages, rows, base)
    return replace(found, why="; ".join(policy.reasons[1:]))


def _priced(
    workload: Workload,
    machine: Machine,
    kind: str,
    placement: Placement,
    stages: tuple[Stage, ...],
    batch_rows: int,
    base: Layer | None = None,
) -> Candidate:
    price = cost.price(
        workload, stages, placement, batch_rows, machine.rates, machine.share_of_cores
    )
    peak_bytes = _peak_bytes(workload, stages, batch_rows, machine.capabilities)
    return Candidate(kind, placement, base, stages, batch_rows, peak_bytes, price)


def _placements(workload: Workload, hints: Hints) -> tuple[Placement, ...]:
    """Return where inference may stand.

    Before the join it reads images that the join removes: one of them must not fail the statement,
    unless that placement was asked for.
    """
    if not workload.has_placements:
        return ("after",)
    if workload.on_error == "raise" and hints.placement.value != "before":
        return ("after",)
    return ("after", "before")


def _starts(
    workload: Workload, stages: tuple[Stage, ...]
) -> Iterator[tuple[Layer | None, tuple[Stage, ...]]]:
    """Yield a plan's stages by their start: the image, or a layer whose raw maps are stored.

    A base table that the call names is the start.
    """
    if workload.base is not None:
        yield workload.base.layer, _from(workload.base.layer, stages)
        return
    yield None, stages
    for base in cost.bases(workload):
        yield base, _from(base, stages)


def _from(base: Layer, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Return stages of which those that start from images start from raw maps at hand."""
    return tuple(
        replace(stage, base=base)
        if isinstance(stage, Infer) and stage.start is None and not stage.cnn
        else stage
        for stage in stages
    )


def _batch_rows(workload: Workload, stages: tuple[Stage, ...], machine: Machine) -> int:
    """Return the rows of a micro-batch: the hint's, else what is fast; fewer until they fit."""
    rows: int = machine.hints.batch_rows.value or memory.best_rows(workload, stages)
    limit_bytes = machine.resources.memory_bytes
    while rows > memory.FEWEST_ROWS and (
        _peak_bytes(workload, stages, rows, machine.capabilities) > limit_bytes
    ):
        rows //= 2
    return max(rows, 1)


def _peak_bytes(
    workload: Workload, stages: tuple[Stage, ...], rows: int, capabilities: Capabilities
) -> int:
    return memory.peak_bytes(
        workload, stages, rows, capabilities.call_rows(rows), sink=capabilities.sink
    )


def order(candidate: Candidate) -> tuple[float, int, bool, bool]:
    """Return the sort key that puts the cheapest first; seconds count to six digits."""
    return (float(f"{candidate.price.seconds:.6g}"), *rank(candidate))


def rank(candidate: Candidate) -> tuple[int, bool, bool]:
    """Return the sort key that puts what has fewest steps first."""
    steps = plans.load(candidate.kind).order
    return (steps, candidate.placement == "before", candidate.base is not None)
