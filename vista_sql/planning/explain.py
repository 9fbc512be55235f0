"""Plan → facts → text: what db.explain(), VISTA_EXPLAIN and the command line say of a statement.

`facts` walks a plan once and yields a row per fact; `render` and `measured` lay rows out as text
and know nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import assert_never

from msgspec.structs import replace

from vista_sql import kernels, roster, train
from vista_sql.kernels import Fact
from vista_sql.planning import boxes, cost
from vista_sql.planning.candidates import Candidate
from vista_sql.planning.context import GENERATED
from vista_sql.planning.decision import Decision
from vista_sql.planning.plans import Infer, Pool, Sort, Stage
from vista_sql.planning.script import Fed, Script, Transfer
from vista_sql.planning.workload import Facts, Tap, Workload, pooled_values
from vista_sql.roster import Framing
from vista_sql.sql.needs import Needs
from vista_sql.units import format_bytes, format_flops, format_seconds

SEMI_JOIN = "semi-join"  # the item of decisions about rows, not about the plan


def staged_sql(script: Script) -> str:
    """Return the staged SQL: the rows of each call that is apart as a relation, then the text."""
    parts = [
        f"-- {transfer.staged.rows_name}: read {transfer.plan.chosen.batch_rows} rows at a time\n"
        f"CREATE TEMP VIEW {transfer.staged.rows_name} AS\n{transfer.staged.rows};"
        for transfer in script.apart
    ]
    return "\n\n".join([*parts, f"{script.text.strip()};"])


# ── a plan's facts ──────────────────────────────────────────────────────────────────────────────


def facts(script: Script) -> Iterator[Fact]:
    """Yield the facts of a statement's plan. Equal plans give equal facts, in an equal order."""
    for number, transfer in enumerate(script.transfers, 1):
        for fact in _facts(transfer):
            yield replace(fact, transfer=number)
    for made in script.made:
        if isinstance(made, Fed) and made.kind == "train":
            yield Fact(topic="note", item="training", detail=f"training: {_trained(made)}")
    if not script.transfers:
        yield Fact(topic="note", detail="no TRANSFER: DuckDB runs the statement as it is")
    yield Fact(topic="sql", item="rewritten", detail=staged_sql(script))


def _trained(made: Fed) -> str:
    """Return where a training that a host feeds itself has its rows: `TrainingRun.take` decides."""
    spec = json.loads(made.order)["train"]
    if spec["budget_seconds"]:
        return "on the driver (budget_seconds judges rows as they come)"
    if train.load(spec["trainer"]).host:
        return f"on the executors (trainer => '{spec['trainer']}' is the cluster's own)"
    share = spec["memory_bytes"] // 2  # as `memory.TRAINER_SHARE` has it
    limit = format_bytes(share) if share else "an eighth of its memory"
    return (
        f"on the driver where its rows, encoded, take at most {limit}, half of what a training may "
        "hold (memory_limit); else they stay on the executors, and a pass over them is a job"
    )


def _facts(transfer: Transfer) -> Iterator[Fact]:
    workload, plan = transfer.workload, transfer.plan
    yield from _workload(workload)
    yield from _needs(workload.needs)
    yield from _data(workload.facts)
    reasons = {decision.what: decision.why for decision in plan.decisions}
    for alternative in plan.alternatives:
        reason = reasons["plan"] if alternative.is_way_of(plan.chosen) else None
        yield _candidate(alternative, reason, workload)
    for decision in plan.decisions:
        yield _decision(decision)
    for number, stage in enumerate(plan.chosen.stages, 1):
        text = describe(stage, workload.pool, cost.start_name(workload))
        yield Fact(topic="stage", item=str(number), detail=text)
    if not plan.chosen.stages:
        yield Fact(topic="stage", item="none", detail="nothing is inferred")


def _workload(workload: Workload) -> Iterator[Fact]:
    """Yield what is computed: the network, its layers, who runs it, its weights."""
    asked = [_shown(tap) for tap in workload.taps]
    used = [_shown(tap) for tap in workload.used_taps]
    yield Fact(topic="transfer", item="cnn", detail=workload.cnn.name)
    yield Fact(topic="transfer", item="layers asked", value=len(asked), detail=", ".join(asked))
    yield Fact(topic="transfer", item="layers computed", detail=", ".join(used) or "none")
    if workload.cnn.name != roster.DESCRIPTOR or len(workload.passes) > 1:
        engine = workload.engine
        yield Fact(topic="transfer", item="engine", why=engine.why, detail=engine.name)
    framing = workload.preprocessing_of(workload.cnn).framing
    if framing != Framing():
        asked = [name for name in ("resize", "fit") if getattr(workload, name) is not None]
        why = f"as given: {', '.join(asked)}" if asked else "as the weights were published"
        yield Fact(topic="transfer", item="resize", why=why, detail=framing.words)
    if workload.region is not None:
        yield Fact(
            topic="transfer", item="region", detail=workload.region, why=boxes.words(workload)
        )
    if workload.weights == "random":
        yield Fact(
            topic="transfer",
            item="weights",
            why="cost and parity, no quality",
            detail=f"random (seed {workload.seed})",
        )


def _shown(tap: Tap) -> str:
    """Return a layer's column; where its name is a generated one, the layer's."""
    return (tap.layer.name or "the image") if tap.column.startswith(GENERATED) else tap.column


def _needs(needs: Needs) -> Iterator[Fact]:
    """Yield what runs below inference: a clause and its text each; then the semi-joins' reasons."""
    clauses = []
    if needs.conditions:
        clauses.append(("WHERE", " AND ".join(needs.conditions)))
    if needs.sample:
        word, _, text = needs.sample.partition(" ")
        clauses.append((word, text))
    if needs.qualify:
        clauses.append(("QUALIFY", needs.qualify))
    if needs.limit is not None and needs.order:
        clauses.append(("ORDER BY", f"{', '.join(needs.order)} LIMIT {needs.limit}"))
    elif needs.limit is not None:
        clauses.append(("LIMIT", str(needs.limit)))
    for clause, text in clauses:
        yield Fact(topic="below inference", item=clause, detail=text)
    if not clauses:
        yield Fact(topic="below inference", item="nothing")
    for cut in needs.cuts:
        yield Fact(topic="decision", item=SEMI_JOIN, detail=cut)


def _data(known: Facts) -> Iterator[Fact]:
    """Yield how much data there is, as far as it is known."""
    estimated = None if known.exact else "equal bytes are not looked for"
    for item, n, why in (
        ("rows", known.rows, None),
        ("images", known.images, None),
        ("distinct images", known.distinct_images, estimated),
    ):
        if n is not None:
            yield Fact(topic="data", item=item, value=n, why=why)


def _candidate(alternative: Candidate, reason: str | None, workload: Workload) -> Fact:
    """Return a plan that was possible; `reason` is why the chosen one was chosen."""
    before = " before the join" if alternative.placement == "before" else ""
    start = "" if alternative.base is None else f" from {alternative.base.name}"
    return Fact(
        topic="candidate",
        item=f"{alternative.kind}{before}{start}",
        chosen=reason is not None,
        why=reason or alternative.note or None,
        flops_per_image=alternative.flops_per_image,
        peak_bytes=alternative.peak_bytes,
        images_inferred=alternative.price.images_inferred,
        layer_evaluations=alternative.price.layer_evaluations,
        estimated_seconds=alternative.price.seconds,
        detail="; ".join(
            describe(stage, workload.pool, cost.start_name(workload))
            for stage in alternative.stages
        ),
    )


def _decision(decision: Decision) -> Fact:
    return Fact(topic="decision", item=decision.what, why=decision.why, detail=decision.chosen)


def describe(stage: Stage, pool: kernels.Pool, image: str = "image") -> str:
    """Return a stage, and the pooling of the features it gives, as one line of text.

    Args:
        stage: the stage.
        pool: of its features.
        image: what it starts from where nothing is stored, in words.

    Example:
        >>> from vista_sql import roster
        >>> lenet5 = roster.load("lenet5")
        >>> c5, f6 = lenet5.layer("c5"), lenet5.layer("f6")
        >>> describe(Infer(None, (c5, f6), "features", materialize=(c5,)), "max2x2")
        'infer image → c5, f6 as features; keep raw maps of c5'
        >>> describe(Pool(f6), "max2x2")
        'pool f6 (max2x2) to 84 values'
    """
    match stage:
        case Sort():
            return "sort rows by image"
        case Pool(layer=layer):
            values = pooled_values(layer.shape, pool, layer.grid)
            return f"pool {layer.name} ({pool}) to {values:,} values"
        case Infer():
            start = stage.start.name if stage.start else image
            if stage.base is not None:
                at_hand = "shared" if stage.borrows else "stored"
                start = f"{at_hand} {stage.base.name}, else {start}"
            if stage.cnn:
                start = f"{stage.cnn}: {start}"
            layers = ", ".join(layer.name for layer in stage.layers)
            text = f"infer {start} → {layers} as {stage.form}"
            if stage.materialize:
                text += f"; keep raw maps of {', '.join(layer.name for layer in stage.materialize)}"
            if stage.lends:
                text += f"; share raw maps of {', '.join(one.layer for one in stage.lends)}"
            return text
        case _:
            assert_never(stage)


# ── facts as text ───────────────────────────────────────────────────────────────────────────────


def render(script: Script) -> str:
    """Return how a statement would run, as text. Equal plans give equal text."""
    return planned(facts(script))


def planned(rows: Iterable[Fact]) -> str:
    """Return the facts of a statement's plan as text.

    Example:
        >>> note = Fact(topic="note", detail="no TRANSFER: DuckDB runs the statement as it is")
        >>> print(planned([note, Fact(topic="sql", item="rewritten", detail="SELECT 1;")]))
        no TRANSFER: DuckDB runs the statement as it is
        <BLANKLINE>
        staged SQL
        SELECT 1;
    """
    paragraphs = []
    for number, group in groupby(rows, key=lambda fact: fact.transfer):
        if number is not None:
            paragraphs.append(_transfer(number, list(group)))
            continue
        for fact in group:
            heading = "staged SQL\n" if fact.topic == "sql" else ""
            paragraphs.append(f"{heading}{fact.detail}")
    return "\n\n".join(paragraphs)


def _transfer(number: int, rows: Sequence[Fact]) -> str:
    """Return the facts of one TRANSFER as text."""
    about = {fact.item: fact for fact in rows if fact.topic == "transfer"}
    decisions = [fact for fact in rows if fact.topic == "decision"]
    candidates = [fact for fact in rows if fact.topic == "candidate"]
    stages = [fact for fact in rows if fact.topic == "stage"]
    below = [_words(fact.item, fact.detail) for fact in rows if fact.topic == "below inference"]
    lines = [
        f"TRANSFER {number}: {about['cnn'].detail}, {about['layers asked'].value:.0f} layers asked",
        f"  layers computed: {about['layers computed'].detail}",
        f"  below inference: {' '.join(below)}",
    ]
    lines += [f"  {SEMI_JOIN}: {fact.detail}" for fact in decisions if fact.item == SEMI_JOIN]
    lines += _data_lines([fact for fact in rows if fact.topic == "data"])
    if "weights" in about:
        lines.append(f"  weights: {about['weights'].detail}: {about['weights'].why}")
    if "engine" in about:
        lines.append(f"  engine: {about['engine'].detail} ({about['engine'].why})")
    if "resize" in about:
        lines.append(f"  resize: {about['resize'].detail} ({about['resize'].why})")
    if "region" in about:
        lines.append(f"  region: {about['region'].detail} ({about['region'].why})")
    lines.append("  stages:")
    lines += [f"    {'' if s.item == 'none' else f'{s.item}. '}{s.detail}" for s in stages]
    lines += _estimate_lines(next((fact for fact in candidates if fact.chosen), None))
    for decision in decisions:
        if decision.item != SEMI_JOIN:
            lines.append(f"  {decision.item}: {decision.detail} ({decision.why})")
        if decision.item == "plan":
            lines += _candidate_lines(candidates)
    return "\n".join(lines)


def _words(*texts: str | None) -> str:
    return " ".join(text for text in texts if text)


def _data_lines(rows: Sequence[Fact]) -> list[str]:
    shown = [
        f"{fact.item}: {'about ' if fact.why else ''}{fact.value or 0:,.0f}"
        for fact in rows
        if fact.item != "images"
    ]
    return [f"  {'; '.join(shown)}"] if shown else []


def _estimate_lines(chosen: Fact | None) -> list[str]:
    """Return what the chosen plan is expected to take; None: nothing is inferred."""
    if chosen is None:
        return [f"  per image: {format_flops(0)}; peak: {format_bytes(0)} (estimated)"]
    flops, peak = chosen.flops_per_image or 0, chosen.peak_bytes or 0
    images, layers = chosen.images_inferred or 0, chosen.layer_evaluations or 0
    return [
        f"  per image: {format_flops(flops)}; peak: {format_bytes(peak)} (estimated)",
        f"  in all: {format_seconds(chosen.estimated_seconds or 0)}, {images:,} images inferred, "
        f"{layers:,} layers of images evaluated (estimated)",
    ]


def _candidate_lines(candidates: Sequence[Fact]) -> list[str]:
    """Return a line for each candidate, the cheapest first."""
    width = max((len(fact.item or "") for fact in candidates), default=0)
    lines = []
    for fact in candidates:
        images, layers = fact.images_inferred or 0, fact.layer_evaluations or 0
        note = f", {fact.why}" if fact.why and not fact.chosen else ""  # `plan` says the chosen's
        lines.append(
            f"    {'→' if fact.chosen else ' '} {fact.item:<{width}}  "
            f"{format_seconds(fact.estimated_seconds or 0):>8}, "
            f"{format_bytes(fact.peak_bytes or 0):>10} peak, "
            f"{images:,} images, {layers:,} layers{note}"
        )
    return lines


def measured(rows: Sequence[Fact]) -> str:
    """Return what VISTA_EXPLAIN measured of a statement as text; nothing planned is in it.

    Example:
        >>> print(measured([
        ...     Fact(topic="time", item="wall", actual_seconds=2.0, share=1.0, detail="in all"),
        ...     Fact(topic="time", item="infer", actual_seconds=1.5, share=0.75, detail="it ran"),
        ...     Fact(topic="work", item="decode", actual_seconds=3.0, detail="summed"),
        ...     Fact(topic="count", item="rows", value=1200.0, detail="returned"),
        ... ]))
        measured
          wall                       2.000 s  100.0%  in all
            infer                    1.500 s   75.0%  it ran
          beside each other
            decode                   3.000 s          summed
          rows: 1,200  (returned)
    """
    return "\n".join([
        "measured",
        *(_seconds_line(fact) for fact in rows if fact.topic == "time"),
        "  beside each other",
        *(_seconds_line(fact) for fact in rows if fact.topic == "work"),
        *(_count_line(fact) for fact in rows if fact.topic == "count"),
    ])  # fmt: skip


def _seconds_line(fact: Fact) -> str:
    item = f"{'  ' if fact.item == 'wall' else '    '}{fact.item}"
    share = f"{fact.share:6.1%}" if fact.share is not None else " " * 6
    return f"{item:<24}{fact.actual_seconds or 0:10.3f} s  {share}  {fact.detail}"


def _count_line(fact: Fact) -> str:
    n = fact.value or 0
    shown = format_bytes(n) if fact.item == "peak bytes" else f"{n:,.0f}"
    return f"  {fact.item}: {shown}" + (f"  ({fact.detail})" if fact.detail else "")
