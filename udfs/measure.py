"""vista_measure(run) and vista_measured(order, n, hash): what a statement took, beside its plan."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pyarrow as pa
from msgspec.structs import asdict, replace

from vista_sql.kernels import EXPLANATION, WALL, WORK, Fact, Kernel, MeasureSpec
from vista_sql.machine.resources import peak_bytes

from .passes.arrow import Column
from .passes.counts import RunCounts
from .passes.runtime import Runtime

_ARROW = {
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "VARCHAR": pa.string(),
}
ARROW_TYPE = pa.list_(pa.struct([(name, _ARROW[kind]) for name, kind in EXPLANATION.items()]))
SQL_TYPE = "STRUCT(" + ", ".join(f'"{n}" {kind}' for n, kind in EXPLANATION.items()) + ")[]"


def measure(runtime: Runtime, run: Column) -> Column:
    """Start the clock of runs; a run's first count starts it as well.

    Args:
        runtime: shared by the process's kernels.
        run: ids of runs.

    Returns:
        The ids.
    """
    for name in run.to_pylist():
        runtime.counters(name)
    return run


def measured(runtime: Runtime, order: Column, n: Column, every: Column) -> pa.Array:
    """End measured runs; return their plans' facts with what was measured.

    Args:
        runtime: shared by the process's kernels.
        order: texts of `MeasureSpec`.
        n: how many rows the run returned.
        every: a hash of all values, so that they were computed.

    Returns:
        Per order the rows of VISTA_EXPLAIN, a list of structs: its facts with what is known now,
        then what was measured.
    """
    del every
    explanations = []
    for text, n_rows in zip(order.to_pylist(), n.to_pylist(), strict=True):
        spec = MeasureSpec.from_text(text)
        counters = runtime.fold(spec.run, spec.whole_run)
        facts = _facts(spec.facts, counters, n_rows, runtime.threads.n_decoders)
        explanations.append([asdict(fact) for fact in facts])
    return pa.array(explanations, ARROW_TYPE)


def _facts(
    planned: Sequence[Fact], counters: RunCounts, n_rows: int, threads: int
) -> Iterator[Fact]:
    """Yield the facts of a plan, the chosen one's beside what it did, and before `sql` the rest."""
    seconds = time.perf_counter() - counters.began
    peak = peak_bytes()
    one_transfer = all(fact.transfer in (1, None) for fact in planned)  # of several nobody can tell
    for fact in planned:
        if fact.topic == "sql":  # the last one
            yield from _wall(counters, seconds)
            yield from _work(counters, threads)
            yield from _counts(counters, n_rows, seconds, peak)
        if fact.topic == "candidate" and fact.chosen and one_transfer:
            yield replace(
                fact,
                actual_images_inferred=counters.images_inferred,
                actual_layer_evaluations=counters.layer_evaluations,
                actual_peak_bytes=peak,
                actual_seconds=seconds,
            )
        else:
            yield fact


def _wall(counters: RunCounts, seconds: float) -> Iterator[Fact]:
    """Yield where the wall time went: parts that exclude each other, and the rest."""

    def part(item: str, part_seconds: float, detail: str) -> Fact:
        share = part_seconds / seconds if seconds > 0 else 0.0
        return Fact(
            topic="time", item=item, actual_seconds=part_seconds, share=share, detail=detail
        )

    yield Fact(
        topic="time", item="wall", actual_seconds=seconds, share=1.0,
        detail="from the statement's first step to its last row",
    )  # fmt: skip
    parts = [timer.seconds(counters) for timer in WALL]
    for timer, part_seconds in zip(WALL, parts, strict=True):
        yield part(timer.item, part_seconds, timer.detail)
    yield part(
        "rest",
        max(seconds - sum(parts), 0.0),
        "DuckDB above inference, hand-over of rows and features, a training's first pass",
    )


def _work(counters: RunCounts, threads: int) -> Iterator[Fact]:
    """Yield what threads worked, beside each other and beside inference."""
    for timer in WORK:
        if timer not in WALL:
            summed = f"; summed over threads ({threads} decode)" if timer.summed else ""
            yield Fact(
                topic="work",
                item=timer.item,
                actual_seconds=timer.seconds(counters),
                detail=f"{timer.detail}{summed}",
            )


def _counts(counters: RunCounts, n_rows: int, seconds: float, peak: int) -> Iterator[Fact]:
    """Yield the rows, images and errors that were counted, and their rates."""
    inferred = counters.images_inferred
    for item, value, detail in (
        ("rows", n_rows, "that the statement returned"),
        ("rows per second", n_rows / seconds if seconds > 0 else 0.0, None),
        ("rows read", counters.rows, "below inference"),
        ("images", counters.images, "rows that have one"),
        ("images inferred", inferred, None),
        ("images from the store", counters.images_from_store, "nothing of them was inferred"),
        ("images resumed", counters.images_resumed, "inferred from a raw map of the store"),
        ("images per second", inferred / seconds if seconds > 0 else 0.0, None),
        ("batches", counters.batches, "passes of the network"),
        ("errors", counters.errors, "rows whose image cannot be read"),
        ("peak bytes", peak, "the most that the process ever held"),
    ):
        yield Fact(topic="count", item=item, value=float(value), detail=detail)


KERNELS = (
    Kernel("vista_measure", ("VARCHAR",), "VARCHAR", measure),
    Kernel("vista_measured", ("VARCHAR", "BIGINT", "UBIGINT"), SQL_TYPE, measured),
)
