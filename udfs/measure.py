"""vista_measure(run) and vista_measured(order, n, hash): what a statement took, beside its plan."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pyarrow as pa

from vista_sql.kernels import EXPLANATION, Fact, Kernel
from vista_sql.machine.resources import peak_bytes

from .passes.arrow import Column
from .passes.counts import RunCounts
from .passes.runtime import Runtime

_TYPES = {
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "VARCHAR": pa.string(),
}
ARROW_TYPE = pa.list_(pa.struct([(name, _TYPES[kind]) for name, kind in EXPLANATION.items()]))
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
    """End measured runs.

    Args:
        runtime: shared by the process's kernels.
        order: JSON with the plan's `facts`, the `run` that was measured and the `whole_run` that
            it is a part of.
        n: how many rows the run returned.
        every: a hash of all values, so that they were computed.

    Returns:
        Per order the rows of VISTA_EXPLAIN: its facts with what is known now, then what was
        measured.
    """
    del every
    explanations = []
    for text, rows in zip(order.to_pylist(), n.to_pylist(), strict=True):
        wanted = json.loads(text)
        counters = runtime.fold(wanted["run"], wanted["whole_run"])
        facts = _facts(wanted["facts"], counters, rows, runtime.threads.n_decoders)
        explanations.append([{name: fact.get(name) for name in EXPLANATION} for fact in facts])
    return pa.array(explanations, ARROW_TYPE)


def _facts(facts: list[Fact], counters: RunCounts, rows: int, threads: int) -> Iterator[Fact]:
    seconds = time.perf_counter() - counters.began
    peak = peak_bytes()
    alone = {fact.get("transfer") for fact in facts} <= {1, None}
    for fact in facts:
        if fact["topic"] == "sql":  # the last one
            yield from _wall(counters, seconds)
            yield from _work(counters, threads)
            yield from _counts(counters, rows, seconds, peak)
        if fact["topic"] == "candidate" and fact["chosen"] and alone:
            yield {
                **fact,
                "actual_images_inferred": counters.images_inferred,
                "actual_layer_evaluations": counters.layer_evaluations,
                "actual_peak_bytes": peak,
                "actual_seconds": seconds,
            }
        else:
            yield fact


def _wall(counters: RunCounts, seconds: float) -> Iterator[Fact]:
    """Yield where the wall time went: parts that exclude each other, and the rest."""
    clock = counters.clock
    parts = {
        "load": (counters.load_seconds, "TensorFlow and networks, once in a process"),
        "infer": (clock.infer_seconds, "the network ran; pooling is part of it"),
        "fetch stall": (
            clock.fetch_stall_seconds,
            "inference waited for the bytes of images: storage or network is slow",
        ),
        "prep stall": (
            clock.prep_stall_seconds,
            "inference waited for pixels, bytes being there: decoding and resizing are slow",
        ),
        "join stall": (
            clock.rows_stall_seconds,
            "inference waited for DuckDB's rows: tables, join, filters, BLOBs",
        ),
        "train, later passes": (counters.train_seconds, "all iterations of all models"),
    }
    rest = seconds - sum(part for part, _ in parts.values())
    parts["rest"] = (
        max(rest, 0.0),
        "DuckDB above inference, hand-over of rows and features, a training's first pass",
    )
    yield {
        "topic": "time", "item": "wall", "actual_seconds": seconds, "share": 1.0,
        "detail": "from the statement's first step to its last row",
    }  # fmt: skip
    for item, (part, detail) in parts.items():
        share = part / seconds if seconds > 0 else 0.0
        yield {
            "topic": "time", "item": item, "actual_seconds": part, "share": share, "detail": detail
        }  # fmt: skip


def _work(counters: RunCounts, threads: int) -> Iterator[Fact]:
    """Yield what threads worked, beside each other and beside inference."""
    summed = f"summed over threads ({threads} decode)"
    for item, part, detail in (
        ("join", counters.rows_seconds, "reading the narrow rows, where they are staged apart"),
        ("read", counters.read_seconds, f"bytes of images: files and URIs; {summed}"),
        ("decode", counters.decode_seconds, f"decoding and resizing; {summed}"),
        ("store, look up", counters.store_seconds, f"digests, and reading what is kept; {summed}"),
        ("infer", counters.infer_seconds, "passes of the network"),
        ("store, keep", counters.keep_seconds, "packing and committing what was inferred"),
        ("pool", counters.pool_seconds, "raw maps of a stage; else inside the network's graph"),
        ("train, first pass", counters.feed_seconds, "split and kept as they come; summed"),
    ):
        yield {"topic": "work", "item": item, "actual_seconds": part, "detail": detail}


def _counts(counters: RunCounts, rows: int, seconds: float, peak: int) -> Iterator[Fact]:
    rate = rows / seconds if seconds > 0 else 0.0
    inferred = counters.images_inferred
    for item, value, detail in (
        ("rows", rows, "that the statement returned"),
        ("rows per second", rate, None),
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
        yield {"topic": "count", "item": item, "value": float(value), "detail": detail}


KERNELS = (
    Kernel("vista_measure", ("VARCHAR",), "VARCHAR", measure),
    Kernel("vista_measured", ("VARCHAR", "BIGINT", "UBIGINT"), SQL_TYPE, measured),
)
