"""Workload + machine → Plan: hints restrict the candidates, memory excludes, the cheapest wins."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import PlanError, UnknownNameError
from vista_sql.machine.calibration import Rates
from vista_sql.machine.resources import Resources
from vista_sql.planning import boxes, candidates, cost, memory, plans
from vista_sql.planning.candidates import NO_HINTS, Candidate, Hints, Machine
from vista_sql.planning.decision import Decision
from vista_sql.planning.distribution import Distribution, distribute
from vista_sql.planning.plans import Infer, Sort
from vista_sql.planning.workload import Workload
from vista_sql.roster import Layer
from vista_sql.settings import Value
from vista_sql.sql.edit import Sink
from vista_sql.store import DEFAULT_BYTES
from vista_sql.units import format_bytes, format_seconds

NOISE = 0.05
"""Estimates that differ by less count as equal: then the order of the plans decides."""

KEPT_SHARE = 0.1
"""Of the store's limit: most that the raw maps of one statement may take of themselves."""


class Plan(Struct, frozen=True):
    """How one TRANSFER call runs. Equal inputs give equal plans."""

    chosen: Candidate  # with the layers to materialize in its stages
    threads: int | None  # None: all cores
    decisions: tuple[Decision, ...] = ()
    alternatives: tuple[Candidate, ...] = ()  # all candidates, the chosen one too, cheapest first
    distribution: Distribution | None = None  # over a cluster; None: it runs in one process

    @property
    def name(self) -> str:
        """The plan and the placement, as runs are recorded: `fused/after`."""
        return f"{self.chosen.kind}/{self.chosen.placement}"

    @property
    def infers(self) -> bool:
        """Whether any layer is computed."""
        return bool(self.chosen.stages)


def choose(workload: Workload, machine: Machine) -> Plan:
    """Return the plan to run: the cheapest in seconds of those that fit in memory.

    Raises:
        UnknownNameError: a hint names a plan that does not exist.
        PlanError: no plan that the hints allow fits in memory, even with the smallest micro-batch.

    Example:
        >>> from vista_sql.planning.capabilities import Capabilities
        >>> from vista_sql.planning.workload import Relation, bind, load_cnn
        >>> from vista_sql.sql.calls import Call
        >>> call = Call("transfer", {"cnn": "lenet5", "layers": ["f6"]}, {})
        >>> images = Relation("photos", {"id": "INTEGER", "image": "BLOB"})
        >>> foods = Relation("foods", {"id": "INTEGER", "price": "DOUBLE"})
        >>> workload = bind(call, load_cnn(call), images, foods, seed=0, device="auto")
        >>> machine = Machine(Resources(2, 2**33, "memory_limit"), Capabilities())
        >>> plan = choose(workload, machine)
        >>> plan.name, plan.chosen.batch_rows, len(plan.alternatives)
        ('fused/after', 256, 10)
        >>> plan.decisions[1].why
        'rows that the join or a filter removes are never inferred'
    """
    hints, resources = machine.hints, machine.resources
    if hints.plan.value is not None:
        _known(hints.plan)  # an unknown one is said before anything else
    if not workload.used_taps:
        return _nothing(workload, machine)
    boxes.check_plan(workload, hints.plan)
    every = [
        replace(candidate, note=_note(candidate, workload, machine))
        for candidate in sorted(candidates.every(workload, machine), key=candidates.order)
    ]
    fitting = [candidate for candidate in every if not candidate.note]
    if not fitting:
        allowed = [c for c in every if not _against(c, workload, hints)]
        least = min(allowed, key=lambda c: c.peak_bytes)
        raise _shortfall(workload, least, resources, _smallest_change(workload, machine))
    chosen = _best(fitting)
    unhinted = replace(machine, hints=NO_HINTS)
    free = _best([c for c in every if not _note(c, workload, unhinted)] or [chosen])
    layers, materialization = _materialization(workload, chosen, machine.rates)
    distribution = None
    if machine.executors is not None:
        distribution = distribute(workload, chosen, hints, machine.executors)
    return Plan(
        _materializing(chosen, layers),
        _threads(hints, distribution),
        (
            _plan_decision(workload, chosen, free, len(fitting), hints),
            _placement_decision(workload, chosen, free, hints),
            *_start_decision(workload, chosen),
            *_sharing_decisions(workload, chosen),
            *materialization,
            _batch_decision(workload, chosen, hints),
            _threads_decision(hints, distribution),
            _memory_decision(resources),
            *(distribution.decisions if distribution else ()),
            _estimates_decision(workload, machine.rates),
        ),
        tuple(every),
        distribution,
    )


def _materializing(candidate: Candidate, layers: tuple[Layer, ...]) -> Candidate:
    """Return the candidate whose passes of the call's own CNN also store these layers' raw maps."""
    stages = tuple(
        replace(stage, materialize=layers) if isinstance(stage, Infer) and not stage.cnn else stage
        for stage in candidate.stages
    )
    return replace(candidate, stages=stages)


def _best(fitting: list[Candidate]) -> Candidate:
    """Return the cheapest; of those that are as good as it, the one that is preferred."""
    limit = min(c.price.seconds for c in fitting) * (1 + NOISE)
    return min((c for c in fitting if c.price.seconds <= limit), key=candidates.rank)


def _against(candidate: Candidate, workload: Workload, hints: Hints) -> str:
    """Return the source of the hint that a candidate is against, or ""."""
    if hints.plan.value not in (None, candidate.kind):
        return hints.plan.source
    # without a join there is one placement, whatever is asked for
    if workload.has_placements and hints.placement.value not in (None, candidate.placement):
        return hints.placement.source
    return ""


def _note(candidate: Candidate, workload: Workload, machine: Machine) -> str:
    """Return why a candidate cannot be chosen, or ""."""
    if source := _against(candidate, workload, machine.hints):
        return f"excluded by {source}"
    if candidate.peak_bytes > machine.resources.memory_bytes:
        return "does not fit in memory"
    if machine.hints.plan.value is not None:
        return ""
    if plans.load(candidate.kind).only_by_hint:
        return "only by hint"
    if workload.region is not None and any(isinstance(s, Sort) for s in candidate.stages):
        return "boxes of an image come together as it is"
    if not cost.infers_each_once(workload, candidate.stages):
        sizes = cost.Sizes.of(workload)
        if sizes.distinct < sizes.images:
            return "infers some images again"
    return ""


def _smallest_change(workload: Workload, machine: Machine) -> str:
    def least(changed: Workload, sink: Sink) -> int:
        able = replace(machine, capabilities=replace(machine.capabilities, sink=sink))
        every = candidates.every(changed, able)
        return min(c.peak_bytes for c in every if not _against(c, changed, machine.hints))

    return memory.smallest_change(workload, machine.resources, least, machine.capabilities.sink)


def _shortfall(
    workload: Workload, least: Candidate, resources: Resources, change: str
) -> PlanError:
    peak, limit = least.peak_bytes, resources.memory_bytes
    short = peak - limit
    return PlanError(
        f"{workload.cnn.name} needs {format_bytes(peak)} even with {least.batch_rows} images at a "
        f"time, {format_bytes(short)} ({short} bytes) more than the limit of "
        f"{format_bytes(limit)} ({resources.memory_source}): {change}"
    )


# ── the reasons ─────────────────────────────────────────────────────────────────────────────────


def _nothing(workload: Workload, machine: Machine) -> Plan:
    """Return the plan of a statement that uses no layer."""
    hints = machine.hints
    kind = hints.plan.value or "fused"
    placement = hints.placement.value if workload.has_placements else None
    rows = hints.batch_rows.value or machine.capabilities.vector_rows
    distribution = None
    chosen = Candidate(kind, placement or "after", None, (), rows, 0, cost.Price(0.0, 0, 0))
    if machine.executors is not None:
        distribution = distribute(workload, chosen, hints, machine.executors)
    return Plan(
        chosen,
        _threads(hints, distribution),
        (
            Decision("plan", kind, "no layer is used: nothing is inferred"),
            _memory_decision(machine.resources),
            *(distribution.decisions if distribution else ()),
        ),
        distribution=distribution,
    )


def _known(hint: Value) -> None:
    if hint.value not in plans.names():
        where = "" if hint.source.endswith("=> …") else hint.source
        raise UnknownNameError("plan", hint.value, plans.names(), where=where)


def _plan_decision(
    workload: Workload, chosen: Candidate, free: Candidate, n_fitting: int, hints: Hints
) -> Decision:
    if hints.plan.value is not None:
        without = ""
        if free.name != chosen.name:
            without = f"; without it {free.name}, {format_seconds(free.price.seconds)}"
        policy = f"; {chosen.why}" if chosen.why else ""
        return Decision("plan", chosen.name, f"as given: {hints.plan.source}{policy}{without}")
    sizes = cost.Sizes.of(workload)
    if any(isinstance(stage, Sort) for stage in chosen.stages):
        why = f"{sizes.images:,} rows share {sizes.distinct:,} images: each is inferred once"
    elif chosen.kind == "fused":
        why = "one pass computes every layer, and no raw map leaves it"
    else:
        why = plans.load(chosen.kind).meaning
    return Decision("plan", chosen.name, f"the cheapest of {n_fitting} that fit; {why}")


def _placement_decision(
    workload: Workload, chosen: Candidate, free: Candidate, hints: Hints
) -> Decision:
    if workload.structured is None:
        return Decision("placement", "after", "there is no join")
    if not workload.has_placements:
        return Decision("placement", "after", "an image without boxes is never read")
    if hints.placement.value is not None:
        without = f"; without it {free.placement}" if free.placement != chosen.placement else ""
        why = f"as given: {hints.placement.source}{without}"
    elif chosen.placement == "after":
        why = "rows that the join or a filter removes are never inferred"
    else:
        sizes = cost.Sizes.of(workload)
        why = f"the join makes {sizes.rows:,} rows of {sizes.image_rows:,} images"
    return Decision("placement", chosen.placement, why)


def _start_decision(workload: Workload, chosen: Candidate) -> tuple[Decision, ...]:
    share, image = workload.facts.prepared_share, cost.start_name(workload)
    copied = f"{share:.0%} of the images are prepared: these are copied, not decoded"
    if workload.base is not None:
        why = f"as given: base => …; images whose bytes are not in it start from the {image}"
        return (Decision("start", workload.base.layer.name, why),)
    if not workload.store.folder:
        return (Decision("start", image, copied),) if share else ()
    used = {tap.layer.name for tap in workload.used_taps if tap.cnn is None}
    stored = sum(k.share for k in workload.facts.stored if used <= k.features)
    if chosen.base is not None:
        held = sum(k.share for k in workload.facts.stored if chosen.base.name in k.maps)
        why = f"the store holds its raw maps of {held:.0%} of the images: cheaper than computing it"
        return (Decision("start", chosen.base.name, why),)
    told = f"the store holds all layers of {stored:.0%} of the images"
    if not workload.facts.stored:
        told = "what the store holds of these images is not known yet: it is looked up as they come"
    return (Decision("start", image, f"{copied}; {told}" if share else told),)


def _sharing_decisions(workload: Workload, chosen: Candidate) -> Iterator[Decision]:
    """Yield which CNNs start from what another has computed."""
    borrowed = {stage.cnn for stage in chosen.stages if isinstance(stage, Infer) and stage.borrows}
    for prefix in workload.prefixes:
        taker, lender = (workload.cnn_named(n).short_name for n in (prefix.taker, prefix.lender))
        if prefix.taker in borrowed:
            why = f"it begins as {lender}, which has computed that by then: inferred once"
            yield Decision(f"start of {taker}", prefix.layer.name, why)


def _materialization(
    workload: Workload, chosen: Candidate, rates: Rates
) -> tuple[tuple[Layer, ...], tuple[Decision, ...]]:
    """Return the layers whose raw maps are to be stored, and why.

    That of the highest layer may pay: what is asked for next may lie above it. A vector is its own
    raw map, and is stored anyway.
    """
    own = [tap.layer for tap in workload.used_taps if tap.cnn is None]
    form_fits = any(isinstance(s, Infer) and s.form == "features" for s in chosen.stages)
    if not workload.store.folder or not own or not form_fits or workload.pools_boxes:
        return (), ()
    cnn, top = workload.cnn, own[-1]
    above = [cnn.layer(name) for name in cnn.feature_layers]
    above = [layer for layer in above if layer not in own and cnn.determines(top, layer)]
    if len(top.shape) == 1 or not above:
        return (), (Decision("materialization", "none", "no layer above starts from a raw map"),)
    sizes = cost.Sizes.of(workload)
    kept_bytes = sizes.distinct * memory.map_bytes(top)
    gain = cost.loading_gain_seconds(workload, cnn, top, rates)
    write = memory.map_bytes(top) / rates.store_write_bytes_per_second
    if kept_bytes > KEPT_SHARE * (workload.store.limit_bytes or DEFAULT_BYTES):
        why = (
            f"{format_bytes(kept_bytes)} of {top.name} are more than {KEPT_SHARE:.0%} of the store"
        )
        return (), (Decision("materialization", "none", why),)
    if gain * cost.REUSE_SHARE <= write:
        why = f"{top.name} is cheaper to compute again than to write and load"
        return (), (Decision("materialization", "none", why),)
    saved = format_seconds(gain * sizes.distinct)
    why = f"saves {saved} when layers above it are asked for; {format_bytes(kept_bytes)}"
    return (top,), (Decision("materialization", top.name, why),)


def _batch_decision(workload: Workload, chosen: Candidate, hints: Hints) -> Decision:
    batch = chosen.batch_rows
    if hints.batch_rows.value is None and chosen.why:
        why = "a partition of the paper's policy"
    elif hints.batch_rows.value is None and batch == workload.cnn.rows_at_once:
        why = "as many as the network runs at once"
    elif hints.batch_rows.value is None and batch < workload.cnn.rows_at_once:
        why = "as many as fit in memory"
    elif hints.batch_rows.value is None:
        why = f"at most {format_bytes(memory.MICRO_BATCH_BYTES)} in one micro-batch"
    elif hints.batch_rows.value == batch:
        why = f"as given: {hints.batch_rows.source}"
    else:
        why = f"{hints.batch_rows.value} as given does not fit in memory"
    return Decision("batch rows", str(batch), why)


def _threads(hints: Hints, distribution: Distribution | None) -> int | None:
    given: int | None = hints.threads.value
    return given or (None if distribution is None else distribution.task_cores)


def _threads_decision(hints: Hints, distribution: Distribution | None) -> Decision:
    if hints.threads.value is not None:
        return Decision("threads", str(hints.threads.value), f"as given: {hints.threads.source}")
    if distribution is not None:
        return Decision("threads", str(distribution.task_cores), "all cores of a task")
    return Decision("threads", "all cores", "fewer are never faster, and save no memory")


def _memory_decision(resources: Resources) -> Decision:
    limit = format_bytes(resources.memory_bytes)
    return Decision("memory limit", limit, resources.memory_source)


def _estimates_decision(workload: Workload, rates: Rates) -> Decision:
    key = cost.network_key_of(workload, workload.cnn)
    met = "measured" if rates.has_met(key) else "from its FLOPs"
    assumed = cost.Sizes.of(workload).assumed
    why = f"{workload.cnn.name} {met}" + (f"; assumed: {', '.join(assumed)}" if assumed else "")
    return Decision("estimates", rates.source, why)
