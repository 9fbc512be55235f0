"""How many bytes a statement holds at its peak, part by part, from shapes alone. Pure functions.

The constants are of resident memory as measured on Linux with TensorFlow 2's CPU build, DuckDB 2
and two threads; `tests/e2e/test_memory_limits.py` compares estimates with whole processes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil, prod

from msgspec import Struct
from msgspec.structs import replace

from vista_sql import roster
from vista_sql.errors import PlanError
from vista_sql.kernels import (
    DECODING_BYTES,
    MOST_DECODING_BYTES,
    READ_BYTES,
    RECENT_BYTES,
    Engine,
    padded_rows,
)
from vista_sql.machine.resources import Resources
from vista_sql.planning import image_types
from vista_sql.planning.plans import Infer, Stage
from vista_sql.planning.workload import Workload, array_type, pooled_values
from vista_sql.roster import Cnn, Layer
from vista_sql.sql.edit import Sink
from vista_sql.store import MAX_COMMIT_BYTES
from vista_sql.units import format_bytes

MIB = 2**20
FLOAT_BYTES = 4
WEIGHT_COPIES = 2
"""The weights as loaded, and as the engine keeps them (reordered for its convolutions)."""


class RuntimeMemory(Struct, frozen=True):
    """What an engine holds; fitted to whole processes with 2 and 64 images of ten CNNs.

    To load a network takes more than to have it, which the allocator keeps.
    """

    runtime_bytes: int  # Python, Arrow and the engine, after a pass of a network of no size
    weights: float  # bytes for each of weights
    activations: float  # bytes for each of the float32 values alive at once
    layer_bytes: int  # the graph itself, for each operation of a network


RUNTIMES: Mapping[Engine, RuntimeMemory] = {
    "tensorflow": RuntimeMemory(730 * MIB, 3.75, 1.5, 150 * 1024),
    "openvino": RuntimeMemory(200 * MIB, 3.6, 1.2, 150 * 1024),
}
"""OpenVINO's are of a process that compiles the network: where an earlier one has kept it compiled,
ResNet50 takes .7 of that."""

ONNX_FILE = RuntimeMemory(200 * MIB, 4.3, 1.2, 150 * 1024)
"""OpenVINO with an `.onnx` file: its weights are read before, and kept beside those reordered."""

HALF = 0.5
"""Of what OpenVINO's activations take, in bfloat16."""

UNSEEN_BYTES = 32 * MIB
"""For decoding images that are larger than those which were looked at."""

SHARED_BYTES = RECENT_BYTES + 16 * MIB
"""Latest results that are kept for later calls (`udfs/passes/sharing.py`)."""

SHARED_PIXELS_BYTES = 128 * MIB
"""Pixels that are kept for a second CNN of the same call (`udfs/passes/lent.py`)."""

SHARED_MAPS_BYTES = 256 * MIB
"""Raw maps that are kept for CNNs which begin alike (`udfs/passes/lent.py`)."""

WAITING_BATCHES = 6
"""Micro-batches of pixels at once: `udfs/passes/runtime.py` lets so few calls be on their way."""

FEATURE_COPIES = 8
"""A micro-batch's features: the network's output, the call's matrix, DuckDB's vector of lists,
which grows by doubling, what the reader exports to Arrow, and what the allocator keeps of these:
256 unpooled maps of MobileNetV2 took 7.5."""

IMAGE_COPIES = 2
"""A micro-batch's encoded images that stand in the column: as Arrow, and told apart by their bytes;
those of text once more, decoded."""

MICRO_BATCH_BYTES = 384 * MIB
"""What one micro-batch may hold beyond what the network runs at once: larger ones are not faster
(flat from 8 to 128 images for ResNet50) and smaller ones pay the call's overhead."""

MOST_ROWS, FEWEST_ROWS = 256, 2
VECTOR_ROWS = 2048
"""DuckDB's STANDARD_VECTOR_SIZE: it reads what a table keeps so many rows at a time."""

READER_BYTES = 64 * MIB
"""Features in one record batch that a result hands out."""

READER_ROWS = 256

ROW_GROUP_BYTES, MOST_GROUP_ROWS = 16 * MIB, 122_880
"""Features in one row group of a Parquet file; DuckDB's own choice, also for tables, is the row
count, which at 8,192 values a row is 4 GB."""

TABLE_HOLDS = 1 / 16
"""Of the features in a table's last row group, the part that DuckDB cannot spill: it ran out of
memory at 2.4, 4.2 and 7.0 GB of them under limits of 200, 300 and 450 MB, which is 5.5 %."""

FILE_TABLE_COUNTS, FILE_TABLE_BESIDE = 1.0, 1.5
"""Vectors of every list that a table in a file takes, under DuckDB's `memory_limit` and beside it:
50, 100 and 200 rows of 4.8 MB got there under 1, 0.9 and 0.9, with 0.8, 1.1 and 1.1 beside."""

ENGINE_BYTES = 64 * MIB
"""DuckDB's buffers for a statement that passes its rows on."""

TRAINER_SHARE, TRAINER_HOLDS = 4, 1.5
"""Training may plan with a quarter of the limit: half of that for rows, twice while they are put in
order, and as much again for the optimizers' state."""

BESIDE_TRAINING = 1 - TRAINER_HOLDS / TRAINER_SHARE
"""Of the limit, for the TRANSFER that feeds a training."""


class Breakdown(Struct, frozen=True):
    """Bytes by what holds them."""

    runtime: int = 0  # Python, DuckDB, Arrow, the engine of networks
    weights: int = 0  # and the graph
    images: int = 0  # as they are encoded, and what decoding them takes
    decode: int = 0  # pixels of the batches that wait and of the one in the network
    activations: int = 0  # inside the network
    maps: int = 0  # raw maps that a later stage needs
    features: int = 0  # in the kernels, DuckDB's vectors and Arrow
    shared: int = 0  # kept for later calls
    store: int = 0  # pages that wait in a commit to the feature store
    engine: int = 0  # the least of DuckDB's own limit under which rows get where they go
    beside: int = 0  # what DuckDB takes that its limit does not count

    @property
    def total(self) -> int:
        """The most bytes held at once."""
        return sum(getattr(self, name) for name in self.__struct_fields__)

    def __add__(self, other: Breakdown) -> Breakdown:
        """Return the parts of two TRANSFERs of one process, which may run at once."""
        found = {n: getattr(self, n) + getattr(other, n) for n in self.__struct_fields__}
        for name in ("runtime", "shared", "store"):  # commits come in turn
            found[name] = max(getattr(self, name), getattr(other, name))
        return Breakdown(**found)


class Allowance(Struct, frozen=True):
    """What a running statement leaves to others; None: no limit that concerns it."""

    engine_bytes: int | None = None  # DuckDB's `memory_limit`
    kept_bytes: int | None = None  # rows that the caller keeps
    row_bytes: int = 0  # features of one row
    vector_bytes: int = 0  # of a vector of each ARRAY column, which counts and is not all touched

    @property
    def reader_rows(self) -> int:
        """The rows of a record batch that a result hands out."""
        return max(1, min(READER_ROWS, READER_BYTES // max(self.row_bytes, 1)))


# ── of one image ────────────────────────────────────────────────────────────────────────────────


def map_bytes(layer: Layer) -> int:
    """Return the bytes of a layer's raw float32 map, one image."""
    return FLOAT_BYTES * layer.size


def feature_bytes(workload: Workload) -> int:
    """Return the bytes of all used layers' pooled features, one image."""
    return sum(FLOAT_BYTES * tap.values for tap in workload.used_taps)


def activation_bytes(cnn: Cnn, layers: tuple[Layer, ...]) -> int:
    """Return the most bytes of activations alive for one image on the way to `layers`."""
    if not layers:
        return 0
    return FLOAT_BYTES * cnn.values_at_once(max(layer.flops for layer in layers))


def _pixel_bytes(workload: Workload) -> int:
    return max((prod(cnn.input_shape) for cnn, _ in workload.passes), default=0)


def _raw_bytes(stages: tuple[Stage, ...]) -> int:
    return sum(
        map_bytes(layer)
        for stage in stages
        if isinstance(stage, Infer)
        for layer in (*(() if stage.form == "features" else stage.layers), *stage.materialize)
    )


def _lent_bytes(stages: tuple[Stage, ...]) -> int:
    """Return the bytes of one image's raw maps that stages hand on to those of other CNNs."""
    lent = {stage.borrows: stage.base for stage in stages if isinstance(stage, Infer)}
    return sum(map_bytes(base) for key, base in lent.items() if key and base is not None)


def _given_bytes(workload: Workload) -> int:
    """Return the bytes of the raw map that a row brings of its image."""
    return 0 if workload.base is None else map_bytes(workload.base.layer)


def _pooled_bytes(workload: Workload) -> int:
    """Return the bytes of the maps of one image that boxes are pooled from: made, and handed on."""
    if not workload.pools_boxes:
        return 0
    return 2 * sum(map_bytes(tap.layer) for tap in workload.used_taps)


def granule(workload: Workload) -> int:
    """Return what the lengths of a workload's batches are multiples of."""
    cnns = (cnn for cnn, _ in workload.passes if cnn.name != roster.DESCRIPTOR)
    return max((cnn.granule for cnn in cnns), default=FEWEST_ROWS)


def best_rows(workload: Workload, stages: tuple[Stage, ...]) -> int:
    """Return the rows of a micro-batch where memory is not short: a multiple of every granule.

    What its networks run at once, doubled as long as a micro-batch stays small.
    """
    cnns = [cnn for cnn, _ in workload.passes if cnn.name != roster.DESCRIPTOR]
    at_once = min((cnn.rows_at_once for cnn in cnns), default=FEWEST_ROWS)
    rows = max(at_once, granule(workload))
    row_bytes = bytes_per_row(workload, stages)
    while 2 * rows <= MOST_ROWS and 2 * rows * row_bytes <= MICRO_BATCH_BYTES:
        rows *= 2
    return rows


def _activations(workload: Workload) -> int:
    is_half = workload.engine.name == "openvino" and workload.dtype == "bfloat16"
    held = _runtime(workload).activations * (HALF if is_half else 1)
    alive = (activation_bytes(cnn, tuple(t.layer for t in taps)) for cnn, taps in workload.passes)
    return int(held * max(alive, default=0))


def bytes_per_row(workload: Workload, stages: tuple[Stage, ...]) -> int:
    """Return the bytes that one row of a micro-batch holds while the stages run."""
    held = _batch_parts(workload, stages)
    return sum(held.values())


def _batch_parts(workload: Workload, stages: tuple[Stage, ...]) -> dict[str, int]:
    """Return the bytes of one row of a micro-batch by part."""
    if not _infers(stages):
        return {}
    waiting = WAITING_BATCHES + FLOAT_BYTES  # as decoded, and one batch as the network's input
    return {
        "images": _column_bytes(workload),
        "decode": waiting * _pixel_bytes(workload),
        "activations": _activations(workload),
        "maps": FEATURE_COPIES * (_raw_bytes(stages) + _given_bytes(workload))
        + _pooled_bytes(workload),
        "features": FEATURE_COPIES * feature_bytes(workload),
    }


def _column_bytes(workload: Workload) -> int:
    """Return the bytes that one image takes which stands in its column; 0: it is elsewhere."""
    kind = (workload.images.columns or {}).get(workload.image_column or "", "")
    size = workload.facts.image_bytes or 0.0
    if workload.facts.is_inline:
        return int((IMAGE_COPIES + 1 / image_types.BASE64_BYTES) * size)
    return int(IMAGE_COPIES * size) if image_types.holds_bytes(kind) else 0


def decoding_bytes(workload: Workload) -> int:
    """Return what images take at once while they are decoded: as many as share DECODING_BYTES.

    All of these where it is not known how large images are. One is decoded by each core.
    """
    largest, rows = workload.facts.decoding_bytes, _rows(workload)
    if largest is None:
        return DECODING_BYTES
    at_once = rows * largest
    if workload.decoders is not None:
        at_once = min(at_once, workload.decoders * largest + UNSEEN_BYTES)
    return max(min(at_once, DECODING_BYTES), largest)


def reading_bytes(workload: Workload) -> int:
    """Return the encoded bytes of files and URIs at once; 0 where images stand in their column."""
    if _column_bytes(workload):
        return 0
    size = int(workload.facts.image_bytes or 0)
    return min(_rows(workload) * size, READ_BYTES) + size if size else READ_BYTES


def decoding_limit(workload: Workload, peak_bytes: int, limit_bytes: int) -> int:
    """Return what decoding one image may take beside all else; 0: what any image may.

    Args:
        workload: what is computed.
        peak_bytes: of its plan, in which `decoding_bytes` are.
        limit_bytes: of the whole process.
    """
    planned = decoding_bytes(workload) if peak_bytes else 0
    most = planned + max(limit_bytes - peak_bytes, 0)
    return 0 if most >= MOST_DECODING_BYTES else max(most >> 20, 1) << 20


def with_modest_images(workload: Workload) -> Workload:
    """Return a workload whose images are not planned for that are decoded alone.

    Where memory is short, the rows of those say so; the others need not suffer.
    """
    if (workload.facts.decoding_bytes or 0) <= DECODING_BYTES:
        return workload
    return replace(workload, facts=replace(workload.facts, decoding_bytes=DECODING_BYTES))


def _infers(stages: tuple[Stage, ...]) -> bool:
    return any(isinstance(stage, Infer) for stage in stages)


# ── of a statement ──────────────────────────────────────────────────────────────────────────────


def _fixed_parts(workload: Workload, stages: tuple[Stage, ...]) -> dict[str, int]:
    if not _infers(stages):
        return {}
    cnns = [cnn for cnn, _ in workload.passes if cnn.name != roster.DESCRIPTOR]
    sizes = [FLOAT_BYTES * cnn.parameters for cnn in cnns]
    of_engine = _runtime(workload)
    graphs = of_engine.layer_bytes * sum(map(_operations, cnns))
    return {
        "runtime": of_engine.runtime_bytes if cnns else 0,
        "weights": int(of_engine.weights * sum(sizes)) + graphs,
    }


def _runtime(workload: Workload) -> RuntimeMemory:
    """Return what the engine of a workload holds."""
    if any(roster.kind_of_file(cnn.name) == "onnx" for cnn, _ in workload.passes):
        return ONNX_FILE
    return RUNTIMES[workload.engine.name]


def _operations(cnn: Cnn) -> int:
    """Return how many operations a network's graph is reckoned for.

    Of an .onnx file, most of whose tensors are shapes or are fused away, those with weights.
    """
    if roster.kind_of_file(cnn.name) == "onnx":
        return sum(1 for layer in cnn.layers if layer.parameters)
    return len(cnn.layers)


def breakdown(
    workload: Workload,
    stages: tuple[Stage, ...],
    batch_rows: int,
    vector_rows: int,
    *,
    sink: Sink = "rows",
) -> Breakdown:
    """Return what holds how many bytes at the peak.

    Args:
        workload: what is computed.
        stages: how.
        batch_rows: rows in one micro-batch.
        vector_rows: rows for which the engine holds the results of a call at once; `batch_rows`
            where it is handed small batches.
        sink: where the statement's rows go.
    """
    if not _infers(stages):
        return Breakdown()
    there = _rows(workload)
    rows = min(batch_rows, there)
    parts = {n: rows * size for n, size in _batch_parts(workload, stages).items()}
    is_padded = workload.engine.name == "tensorflow"
    computed = padded_rows(rows, granule(workload)) if is_padded else rows
    parts["activations"] = computed * _activations(workload)
    more = max(min(vector_rows, there) - rows, 0)
    parts["images"] += more * _column_bytes(workload)
    parts["images"] += decoding_bytes(workload) + reading_bytes(workload)
    parts["features"] += more * FEATURE_COPIES * feature_bytes(workload)
    parts["maps"] += more * FEATURE_COPIES * _raw_bytes(stages)
    pixels = min(SHARED_PIXELS_BYTES, there * _pixel_bytes(workload))
    kept = min(max(batch_rows, vector_rows), there) * (feature_bytes(workload) + _raw_bytes(stages))
    return Breakdown(
        **_fixed_parts(workload, stages),
        **parts,
        shared=min(SHARED_BYTES, there * (feature_bytes(workload) + _raw_bytes(stages)))
        + (pixels if len(workload.passes) > 1 else 0)
        + min(SHARED_MAPS_BYTES, there * _lent_bytes(stages)),
        store=min(MAX_COMMIT_BYTES, kept) if workload.store.folder else 0,
        engine=_engine_bytes(workload, min(max(batch_rows, vector_rows), there), sink),
        beside=_beside_bytes(workload, sink),
    )


def _rows(workload: Workload) -> int:
    """Return the most rows that any part of the statement sees; very many where it is not known."""
    facts = workload.facts
    if facts.rows is None:
        return sys.maxsize
    return max(facts.rows, facts.image_rows or 0, 1)


def peak_bytes(
    workload: Workload,
    stages: tuple[Stage, ...],
    batch_rows: int,
    vector_rows: int,
    *,
    sink: Sink = "rows",
) -> int:
    """Return the most bytes that the stages hold at once; the arguments are `breakdown`'s."""
    return breakdown(workload, stages, batch_rows, vector_rows, sink=sink).total


def _engine_bytes(workload: Workload, batch_rows: int, sink: Sink) -> int:
    """Return the least `memory_limit` of DuckDB under which the rows get where they go."""
    row = feature_bytes(workload)
    chunk, read = batch_rows * row, _pinned_bytes(workload)
    if sink == "parquet":
        return read + 2 * ENGINE_BYTES + max(8 * row * row_group_rows(row), 12 * chunk)
    if sink == "table":
        return read + 3 * ENGINE_BYTES + 4 * chunk + _unspilled_bytes(workload)
    if sink == "file table":
        vectors = int(FILE_TABLE_COUNTS * _vector_bytes(workload))
        return read + 4 * ENGINE_BYTES + 4 * chunk + max(vectors, _unspilled_bytes(workload))
    return read + ENGINE_BYTES


def _pinned_bytes(workload: Workload) -> int:
    """Return the bytes of a vector of images in a table, which DuckDB keeps while it reads it."""
    kind = (workload.images.columns or {}).get(workload.image_column or "", "")
    size = workload.facts.image_bytes or 0.0
    if not image_types.holds_bytes(kind):
        # of files, the size is not of what the column holds
        size = size / image_types.BASE64_BYTES if workload.facts.is_inline else 0.0
    return int(min(_rows(workload), VECTOR_ROWS) * size)


def _beside_bytes(workload: Workload, sink: Sink) -> int:
    """Return what DuckDB takes beside its `memory_limit`: what malloc gives it, and keeps."""
    if sink == "file table":
        return 3 * ENGINE_BYTES + int(FILE_TABLE_BESIDE * _vector_bytes(workload))
    return 2 * ENGINE_BYTES if sink in ("parquet", "table") else ENGINE_BYTES // 2


def _unspilled_bytes(workload: Workload) -> int:
    """Return what stays in memory of a table's features while DuckDB spills the rest.

    Nothing where it is not known how many rows there are: DuckDB's own limit holds then.
    """
    rows = workload.facts.rows or 0
    return int(TABLE_HOLDS * min(rows, MOST_GROUP_ROWS) * feature_bytes(workload))


def _vector_bytes(workload: Workload) -> int:
    """Return the bytes of a vector of each layer's lists: DuckDB rounds up to powers of two.

    A table in a file is written a whole vector at a time, from one as from many batches.
    """
    held = min(_rows(workload), VECTOR_ROWS)
    sizes = (FLOAT_BYTES * tap.values * held for tap in workload.used_taps)
    return sum(1 << (size - 1).bit_length() for size in sizes if size)


def row_group_rows(row_bytes: int) -> int:
    """Return the rows of a Parquet row group, so that DuckDB can hold one as it writes it."""
    return max(1, min(MOST_GROUP_ROWS, ROW_GROUP_BYTES // max(row_bytes, 1)))


# ── shares of a limit ───────────────────────────────────────────────────────────────────────────


def trainer_bytes(limit_bytes: int) -> int:
    """Return what a training may plan with, under a limit for all."""
    return limit_bytes // TRAINER_SHARE


def beside_training(limit_bytes: int) -> int:
    """Return what is left for the TRANSFER that feeds a training, under a limit for both."""
    return int(BESIDE_TRAINING * limit_bytes)


def array_bytes(workload: Workload) -> int:
    """Return the bytes of a vector of every ARRAY column.

    DuckDB takes them whole, however few rows there are, counts them under its limit, and touches
    only what holds rows.
    """
    if workload.format != "wide":
        return 0
    arrays = (t.values for t in workload.used_taps if array_type(t.values) != "FLOAT[]")
    return VECTOR_ROWS * FLOAT_BYTES * sum(arrays)


def allowance(
    parts: Sequence[Breakdown], limit_bytes: int, row_bytes: int, vector_bytes: int
) -> Allowance:
    """Return what a statement leaves to DuckDB and to its caller.

    Args:
        parts: of its TRANSFERs that infer.
        limit_bytes: of the whole process.
        row_bytes: features of one row of the result, at most.
        vector_bytes: `array_bytes` of them all.

    Raises:
        PlanError: its TRANSFERs fit one by one and not together.
    """
    together = sum(parts, Breakdown())
    left = limit_bytes - together.total
    if left < 0:
        raise PlanError(
            f"the {len(parts)} TRANSFERs of this statement need {format_bytes(together.total)} "
            f"together, {format_bytes(-left)} ({-left} bytes) more than the limit of "
            f"{format_bytes(limit_bytes)}: raise memory_limit to {format_bytes(together.total)}, "
            "or keep the rows of one in a table first"
        )
    return Allowance(together.engine + left, max(left, READER_BYTES), row_bytes, vector_bytes)


# ── what would fit ──────────────────────────────────────────────────────────────────────────────


def smallest_change(
    workload: Workload,
    resources: Resources,
    least: Callable[[Workload, Sink], int],
    sink: Sink,
) -> str:
    """Return what to change so that a statement fits that does not: the smallest change first.

    Args:
        workload: what is computed.
        resources: what it may take.
        least: (workload, sink) → the fewest bytes that any plan allowed takes.
        sink: where the statement's rows go.
    """
    enough = least(workload, sink) / resources.share
    found = [f"raise memory_limit to {ceil(enough / MIB)} MiB"]
    for changed, other, text in _changes(workload, sink):
        if least(changed, other) <= resources.memory_bytes:
            found.append(text)
            break
    return ", or ".join(found)


def _changes(workload: Workload, sink: Sink) -> Iterator[tuple[Workload, Sink, str]]:
    if sink == "file table":
        yield workload, "parquet", "write the rows with COPY … TO '….parquet' in place of a table"
    if sink != "rows":
        yield workload, "rows", "read the rows in batches, query(…).reader(), and write those"
    by_size = sorted(workload.used_taps, key=lambda tap: -tap.values)
    for n in range(1, len(by_size)):
        left_out = {tap.column for tap in by_size[:n]}
        kept = tuple(tap for tap in workload.taps if tap.column not in left_out)
        names = ", ".join(sorted(left_out))
        yield replace(workload, taps=kept), sink, f"leave out {names}"
    if workload.pool == "none":  # never of boxes on maps
        pooled = tuple(
            replace(tap, values=pooled_values(tap.layer.shape, "max2x2", tap.layer.grid))
            for tap in workload.taps
        )
        yield replace(workload, pool="max2x2", taps=pooled), sink, "pool => 'max2x2'"
