"""How a plan is spread over a cluster: the join, partitions, persistence and tasks at once.

These are the paper's join, np, pers and cpu (SIGMOD 2020, section 4.2.2 and Algorithm 1). Under
`plan => 'vista'` they are its optimizer's; else np counts what a partition holds by our plans, in
which raw maps live as long as a micro-batch, by its equations (13) and (14).
"""

from __future__ import annotations

from math import ceil

from msgspec import Struct

from vista_sql.errors import PlanError
from vista_sql.planning import cost, memory, paper, plans
from vista_sql.planning.candidates import Candidate, Hints
from vista_sql.planning.decision import Decision
from vista_sql.planning.executors import Executors
from vista_sql.planning.paper import Apportioned, Cluster
from vista_sql.planning.plans import Infer
from vista_sql.planning.workload import Workload
from vista_sql.settings import Join, Persistence
from vista_sql.units import format_bytes


class Distribution(Struct, frozen=True):
    """How the stages of one TRANSFER run on a cluster."""

    executors: Executors
    join: Join | None  # None: there is none
    partitions: int | None  # of the rows that are inferred; None: as they come
    persistence: Persistence
    decisions: tuple[Decision, ...]

    @property
    def task_cores(self) -> int:
        """The cores of one task."""
        return max(1, self.executors.cores // max(1, self.executors.tasks))

    @property
    def needs_profile(self) -> bool:
        """Whether tasks take other cores than the session's."""
        return self.executors.tasks != self.executors.configured


def distribute(
    workload: Workload, chosen: Candidate, hints: Hints, executors: Executors
) -> Distribution:
    """Return how a chosen plan is spread.

    Args:
        workload: with the facts of its data.
        chosen: the plan.
        hints: restrict each decision.
        executors: with the tasks at once decided.

    Raises:
        PlanError: a join that is asked for cannot be.
    """
    papers = apportioned(workload, executors)
    join, why_join = _join(workload, hints)
    partitions, why_np = _partitions(workload, chosen, hints, executors, papers)
    persistence, why_pers = _persistence(hints, chosen, papers)
    decisions = [
        Decision("cpu", str(executors.tasks), executors.why),
        Decision("np", "as they come" if partitions is None else str(partitions), why_np),
        Decision("pers", persistence, why_pers),
    ]
    if join is not None:
        decisions.insert(2, Decision("join", join, why_join))
    decisions.append(_regions(executors, papers))
    return Distribution(executors, join, partitions, persistence, tuple(decisions))


def cluster_of(executors: Executors) -> Cluster:
    """Return the nodes of the paper that have such executors, one each.

    `spark_conf.settings` goes the other way: what the paper leaves to the system, one core and
    mem_os_rsv, is no executor's.
    """
    return Cluster(
        executors.heap_bytes + executors.python_bytes + paper.PAPER.os_reserve_bytes,
        executors.cores + 1,
        executors.number,
    )


def apportioned(workload: Workload, executors: Executors) -> Apportioned | PlanError:
    """Return what Algorithm 1 makes of the executors; its error where nothing fits."""
    rows = cost.Sizes.of(workload).images
    columns = len((workload.structured and workload.structured.columns) or ())
    cnn = workload.cnn
    shape = paper.PUBLISHED_INPUT if cnn.name in paper.PUBLISHED else cnn.input_shape
    layers = {tap.column: tap.layer for tap in workload.used_taps or workload.taps}
    image_bytes = cost.Sizes.of(workload).image_bytes
    sizes = paper.tables(layers, max(1, rows), columns, image_bytes, shape)
    try:
        return paper.search(cluster_of(executors), sizes, paper.footprint(cnn), what=cnn.name)
    except PlanError as error:
        return error


def _join(workload: Workload, hints: Hints) -> tuple[Join | None, str]:
    if workload.structured is None:
        return None, ""
    given, left = hints.join, workload.join_type == "left"
    if given.value == "broadcast" and left:
        raise PlanError(
            f"join is 'broadcast' ({given.source}), but join_type => 'left' keeps every structured "
            "row, and rows that are sent to every executor would be kept on each: leave join out"
        )
    if given.value is not None:
        return given.value, f"as given: {given.source}"
    if left:
        return "shuffle", "structured rows without an image are kept: each is on one executor"
    rows, columns = cost.Sizes.of(workload).rows, len(workload.structured.columns or ())
    size = ceil(paper.PAPER.table_blowup * memory.FLOAT_BYTES * columns * rows)
    limit = format_bytes(paper.PAPER.broadcast_bytes)
    if size < paper.PAPER.broadcast_bytes:
        return "broadcast", f"T_str has about {format_bytes(size)}, below {limit}"
    return "shuffle", f"T_str has about {format_bytes(size)}, not below {limit}"


def _partitions(
    workload: Workload,
    chosen: Candidate,
    hints: Hints,
    executors: Executors,
    papers: Apportioned | PlanError,
) -> tuple[int | None, str]:
    if hints.np.value is not None:
        return hints.np.value, f"as given: {hints.np.source}"
    facts, limit = workload.facts, paper.PAPER.partition_bytes
    before = chosen.placement == "before" and workload.structured is not None
    rows = facts.image_rows if before else facts.rows
    if rows is None:
        return None, "the rows are not counted"
    of_all = f"a multiple of {executors.slots} tasks at once"
    if plans.load(chosen.kind).only_by_hint and isinstance(papers, Apportioned):
        single = papers.tables.single_bytes
        n = paper.partitions(single, executors.tasks, executors.number, limit)
        return n, f"{of_all}; s_single has {format_bytes(single)}, {format_bytes(limit)} in each"
    single = ceil(rows * row_bytes(workload, chosen))
    n = paper.partitions(single, executors.tasks, executors.number, limit)
    if rows < n:
        return max(1, rows), f"{rows:,} rows"
    return n, f"{of_all}; {format_bytes(single)} between stages, {format_bytes(limit)} in each"


def row_bytes(workload: Workload, chosen: Candidate) -> float:
    """Return what a row holds at most between two stages: its image, raw maps, features."""
    maps = sum(
        memory.map_bytes(layer)
        for stage in chosen.stages
        if isinstance(stage, Infer) and stage.form == "maps"
        for layer in stage.layers
    )
    features = memory.FLOAT_BYTES * sum(tap.values for tap in workload.used_taps)
    return paper.RECORD_BYTES + cost.Sizes.of(workload).image_bytes + maps + features


def _persistence(
    hints: Hints, chosen: Candidate, papers: Apportioned | PlanError
) -> tuple[Persistence, str]:
    if hints.pers.value is not None:
        return hints.pers.value, f"as given: {hints.pers.source}"
    if plans.load(chosen.kind).only_by_hint and isinstance(papers, Apportioned):
        fits = papers.persistence == "deserialized"
        room = format_bytes(papers.storage_bytes * papers.cluster.nodes)
        said = "fits" if fits else "does not fit"
        double = format_bytes(papers.tables.double_bytes)
        return papers.persistence, f"s_double of {double} {said} in the {room} of all nodes"
    return "none", "the rows are read once"


def _regions(executors: Executors, papers: Apportioned | PlanError) -> Decision:
    has = (
        f"{executors.number} executor{'' if executors.number == 1 else 's'} of "
        f"{executors.cores} core{'' if executors.cores == 1 else 's'}, "
        f"{format_bytes(executors.heap_bytes)} heap and "
        f"{format_bytes(executors.python_bytes)} beside it"
    )
    if isinstance(papers, PlanError):
        return Decision("memory regions", has, f"by the paper's model: {papers}")
    return Decision(
        "memory regions",
        has,
        f"by the paper's model: mem_dl {format_bytes(papers.dl_bytes)}, "
        f"mem_user {format_bytes(papers.user_bytes)}, "
        f"mem_storage {format_bytes(papers.storage_bytes)} with cpu {papers.cpu}",
    )
