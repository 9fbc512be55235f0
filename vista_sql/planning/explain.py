"""Plan → text: the only renderer, shared by db.explain(), VISTA_EXPLAIN and the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vista_sql.kernels import Fact
from vista_sql.planning import cost
from vista_sql.planning.candidates import Candidate
from vista_sql.planning.optimizer import Plan
from vista_sql.planning.script import Transfer
from vista_sql.units import format_bytes, format_flops, format_seconds


def script(transfers: Sequence[Transfer], text: str) -> str:
    """Return the staged SQL: the rows of each staged call as a relation, then the statement."""
    parts = []
    for transfer in transfers:
        staged = transfer.staged
        if transfer.is_apart:
            rows = transfer.plan.chosen.batch_rows
            parts.append(
                f"-- {staged.rows_name}: read {rows} rows at a time\n"
                f"CREATE TEMP VIEW {staged.rows_name} AS\n{staged.rows};"
            )
    return "\n\n".join([*parts, f"{text.strip()};"])


def render(transfers: Sequence[Transfer], text: str) -> str:
    """Return how a statement would run. Equal plans give equal text."""
    parts = [_transfer(index, transfer) for index, transfer in enumerate(transfers, 1)]
    if not parts:
        parts = ["no TRANSFER: DuckDB runs the statement as it is"]
    return "\n\n".join([*parts, f"staged SQL\n{script(transfers, text)}"])


def _transfer(index: int, transfer: Transfer) -> str:
    workload, plan = transfer.workload, transfer.plan
    lines = [f"TRANSFER {index}: {workload.cnn.name}, {len(workload.taps)} layers asked"]
    used = ", ".join(tap.column for tap in workload.used_taps) or "none"
    lines.append(f"  layers computed: {used}")
    facts = workload.facts
    below = [f"{what} {text}" for what, text in _below(transfer)]
    lines.append(f"  below inference: {' '.join(below) or 'nothing'}")
    lines += [f"  semi-join: {text}" for text in workload.needs.cuts]
    if facts.rows is not None:
        about = "" if facts.exact else "about "  # equal bytes were not looked for
        lines.append(f"  rows: {facts.rows:,}; distinct images: {about}{facts.distinct_images:,}")
    if workload.weights == "random":
        lines.append(f"  weights: random (seed {workload.seed}): cost and parity, no quality")
    lines.append("  stages:")
    lines += [
        f"    {number}. {cost.describe(stage, workload)}"
        for number, stage in enumerate(plan.chosen.stages, 1)
    ] or ["    nothing is inferred"]
    lines.append(
        f"  per image: {format_flops(plan.chosen.flops_per_image)}; "
        f"peak: {format_bytes(plan.chosen.peak_bytes)} (estimated)"
    )
    if plan.infers:
        price = plan.chosen.price
        lines.append(
            f"  in all: {format_seconds(price.seconds)}, "
            f"{price.images_inferred:,} images inferred, "
            f"{price.layer_evaluations:,} layers of images evaluated (estimated)"
        )
    for decision in plan.decisions:
        lines.append(f"  {decision.what}: {decision.chosen} ({decision.why})")
        if decision.what == "plan":
            lines += _candidates(plan)
    return "\n".join(lines)


def _below(transfer: Transfer) -> Iterator[tuple[str, str]]:
    """Yield what runs below inference: a clause and its text."""
    needs = transfer.workload.needs
    if needs.conditions:
        yield "WHERE", " AND ".join(needs.conditions)
    if needs.sample:
        word, _, text = needs.sample.partition(" ")
        yield word, text
    if needs.qualify:
        yield "QUALIFY", needs.qualify
    if needs.limit is not None and needs.order:
        yield "ORDER BY", f"{', '.join(needs.order)} LIMIT {needs.limit}"
    elif needs.limit is not None:
        yield "LIMIT", str(needs.limit)


def _candidates(plan: Plan) -> list[str]:
    """Return a line for each candidate, the cheapest first."""
    lines = []
    width = max((len(_name(other)) for other in plan.alternatives), default=0)
    for other in plan.alternatives:
        note = f", {other.note}" if other.note else ""
        price = other.price
        lines.append(
            f"    {'→' if other.is_way_of(plan.chosen) else ' '} {_name(other):<{width}}  "
            f"{format_seconds(price.seconds):>8}, {format_bytes(other.peak_bytes):>10} peak, "
            f"{price.images_inferred:,} images, {price.layer_evaluations:,} layers{note}"
        )
    return lines


def _name(other: Candidate) -> str:
    before = " before the join" if other.placement == "before" else ""
    start = "" if other.base is None else f" from {other.base.name}"
    return f"{other.kind}{before}{start}"


# ── rows: VISTA_EXPLAIN ─────────────────────────────────────────────────────────────────────────


def facts(transfers: Sequence[Transfer], text: str) -> Iterator[Fact]:
    """Yield the facts of a statement's plan. Equal plans give equal facts, in an equal order."""
    for index, transfer in enumerate(transfers, 1):
        for fact in _facts(transfer):
            yield {"transfer": index, **fact}
    if not transfers:
        yield {"topic": "note", "detail": "no TRANSFER: DuckDB runs the statement as it is"}
    yield {"topic": "sql", "item": "rewritten", "detail": script(transfers, text)}


def _facts(transfer: Transfer) -> Iterator[Fact]:
    workload, plan = transfer.workload, transfer.plan
    yield {"topic": "transfer", "item": "cnn", "detail": workload.cnn.name}
    asked = ", ".join(tap.column for tap in workload.taps)
    used = ", ".join(tap.column for tap in workload.used_taps)
    yield {"topic": "transfer", "item": "layers asked", "detail": asked}
    yield {"topic": "transfer", "item": "layers computed", "detail": used or "none"}
    if workload.weights == "random":
        why = "cost and parity, no quality"
        yield {
            "topic": "transfer", "item": "weights", "why": why,
            "detail": f"random (seed {workload.seed})",
        }  # fmt: skip
    for what, clause in list(_below(transfer)) or [("nothing", "")]:
        yield {"topic": "below inference", "item": what, "detail": clause or None}
    for text in workload.needs.cuts:
        yield {"topic": "decision", "item": "semi-join", "detail": text}
    known = workload.facts
    for item, n in (
        ("rows", known.rows), ("images", known.images), ("distinct images", known.distinct_images)
    ):  # fmt: skip
        if n is not None:
            yield {"topic": "data", "item": item, "value": n}
    reason = {decision.what: decision.why for decision in plan.decisions}
    for other in plan.alternatives:
        yield {
            "topic": "candidate",
            "item": _name(other),
            "chosen": other.is_way_of(plan.chosen),
            "why": reason["plan"] if other.is_way_of(plan.chosen) else other.note or None,
            "flops_per_image": other.flops_per_image,
            "peak_bytes": other.peak_bytes,
            "images_inferred": other.price.images_inferred,
            "layer_evaluations": other.price.layer_evaluations,
            "estimated_seconds": other.price.seconds,
            "detail": "; ".join(cost.describe(stage, workload) for stage in other.stages),
        }
    for decision in plan.decisions:
        yield {
            "topic": "decision", "item": decision.what, "why": decision.why,
            "detail": decision.chosen,
        }  # fmt: skip
    for number, stage in enumerate(plan.chosen.stages, 1):
        yield {"topic": "stage", "item": str(number), "detail": cost.describe(stage, workload)}
    if not plan.chosen.stages:
        yield {"topic": "stage", "item": "none", "detail": "nothing is inferred"}


def measured(facts: Sequence[Fact]) -> str:
    """Return what VISTA_EXPLAIN measured of a statement as text; nothing planned is in it."""
    lines = ["measured"]
    for fact in facts:
        if fact["topic"] in ("time", "work"):
            share = f"{fact['share']:6.1%}" if fact["share"] is not None else " " * 6
            line = f"{fact['item']:<20}{fact['actual_seconds']:10.3f} s  {share}  {fact['detail']}"
            lines.append(("  " if fact["item"] == "wall" else "    ") + line)
            continue
        if fact["topic"] == "count":
            shown = f"{fact['value']:,.0f}"
            if fact["item"] == "peak bytes":
                shown = format_bytes(int(fact["value"]))
            told = f"  ({fact['detail']})" if fact["detail"] else ""
            lines.append(f"  {fact['item']}: {shown}{told}")
    first_work = next(i for i, line in enumerate(lines) if line.startswith("    join    "))
    return "\n".join([*lines[:first_work], "  beside each other", *lines[first_work:]])
