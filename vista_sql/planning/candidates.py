"""Every way to run a workload that there is, priced: what the optimizer chooses from.

A candidate is a plan, where it stands to the join, and where it starts: the image, or a layer whose
raw maps are stored. Its micro-batch is the largest that is useful and fits. Raw maps on their way
from stage to stage stay as they are: they live as long as a micro-batch, and packing them takes
longer than moving them (the store packs what it keeps, without loss, where that pays).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from vista_sql.machine.calibration import Rates
from vista_sql.machine.resources import Capabilities, Resources
from vista_sql.planning import cost, memory, paper, plans
from vista_sql.planning.plans import Infer, Stage
from vista_sql.planning.workload import Workload
from vista_sql.roster import Layer
from vista_sql.settings import Value

PREFERENCE = ("fused", "distinct", "staged", "eager", "lazy")
"""Between plans of equal price: the one with fewer steps."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What the user asks of the plan; each restricts the search, none is needed."""

    plan: Value
    placement: Value
    batch_rows: Value
    threads: Value


NO_HINTS = Hints(*(Value(name, None, "default") for name in Hints.__slots__))


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a workload, priced."""

    kind: str
    placement: str
    base: Layer | None
    stages: tuple[Stage, ...]
    batch_rows: int
    peak_bytes: int
    price: cost.Price
    why: str = ""  # reasons of a policy of its own

    @property
    def name(self) -> str:
        """The candidate in words."""
        start = "" if self.base is None else f", from stored {self.base.name}"
        return f"{self.kind}{start}"


def every(
    workload: Workload,
    resources: Resources,
    capabilities: Capabilities,
    hints: Hints,
    rates: Rates,
) -> Iterator[Candidate]:
    """Yield the candidates for a workload, in no order.

    Args:
        workload: uses at least one layer.
        resources: cores and memory.
        capabilities: of the host.
        hints: sizes that are given are taken; a plan that is only run by hint is left out without.
        rates: of this machine.
    """
    placements = _placements(workload, hints)
    share = _share_of_cores(resources, hints)
    for kind in plans.names():
        described = plans.load(kind)
        if described.only_by_hint:
            if hints.plan.value == kind:
                yield _papers(workload, resources, capabilities, hints, rates)
            continue
        for base, stages in _starts(workload, described.stages(workload)):
            rows = _batch_rows(workload, stages, resources, capabilities, hints)
            peak = _peak_bytes(workload, stages, rows, capabilities)
            for placement in placements:
                price = cost.price(workload, stages, placement, rows, rates, share)
                yield Candidate(kind, placement, base, stages, rows, peak, price)


def _papers(
    workload: Workload,
    resources: Resources,
    capabilities: Capabilities,
    hints: Hints,
    rates: Rates,
) -> Candidate:
    """Return what the paper's own optimizer would run."""
    sizes = cost.Sizes.of(workload)
    policy = paper.policy(workload, resources, image_bytes=sizes.image_bytes)
    assert policy is not None  # noqa: S101 - layers are used
    stages = plans.load(policy.kind).stages(workload)
    rows = hints.batch_rows.value or policy.batch_rows
    peak = _peak_bytes(workload, stages, rows, capabilities)
    share = _share_of_cores(resources, hints)
    placement = hints.placement.value or policy.placement
    price = cost.price(workload, stages, placement, rows, rates, share)
    why = "; ".join(policy.reasons[1:])
    return Candidate("vista", placement, None, stages, rows, peak, price, why)


def _placements(workload: Workload, hints: Hints) -> tuple[str, ...]:
    """Return where inference may stand.

    Before the join it reads images that the join removes: one of them must not fail the statement,
    unless that placement was asked for.
    """
    if workload.structured is None:
        return ("after",)
    if workload.on_error == "raise" and hints.placement.value != "before":
        return ("after",)
    return ("after", "before")


def _starts(
    workload: Workload, stages: tuple[Stage, ...]
) -> Iterator[tuple[Layer | None, tuple[Stage, ...]]]:
    """Yield a plan's stages by their start: the image, or a layer whose raw maps are stored."""
    yield None, stages
    for base in cost.bases(workload):
        yield (
            base,
            tuple(
                replace(stage, base=base)
                if isinstance(stage, Infer) and stage.start is None and not stage.cnn
                else stage
                for stage in stages
            ),
        )


def _batch_rows(
    workload: Workload,
    stages: tuple[Stage, ...],
    resources: Resources,
    capabilities: Capabilities,
    hints: Hints,
) -> int:
    """Return the rows of a micro-batch: the hint's, else what is fast; fewer until they fit."""
    a_row = memory.bytes_per_row(workload, stages)
    rows: int = hints.batch_rows.value or max(
        memory.FEWEST_ROWS, min(memory.MOST_ROWS, memory.MICRO_BATCH_BYTES // max(a_row, 1))
    )
    while rows > memory.FEWEST_ROWS and (
        _peak_bytes(workload, stages, rows, capabilities) > resources.memory_bytes
    ):
        rows //= 2
    return max(rows, 1)


def _peak_bytes(
    workload: Workload, stages: tuple[Stage, ...], rows: int, capabilities: Capabilities
) -> int:
    vector_rows = rows if capabilities.small_batches else capabilities.vector_rows
    return memory.peak_bytes(workload, stages, rows, vector_rows, sink=capabilities.sink)


def _share_of_cores(resources: Resources, hints: Hints) -> float:
    threads = hints.threads.value or resources.cores
    return min(threads, resources.cores) / resources.cores


def order(candidate: Candidate) -> tuple[float, int, bool, bool]:
    """Return the sort key that puts the cheapest first."""
    return (float(f"{candidate.price.seconds:.6g}"), *rank(candidate))


def rank(candidate: Candidate) -> tuple[int, bool, bool]:
    """Return the sort key that puts what has fewest steps first."""
    kind = candidate.kind
    return (
        PREFERENCE.index(kind) if kind in PREFERENCE else len(PREFERENCE),
        candidate.placement == "before",
        candidate.base is not None,
    )
