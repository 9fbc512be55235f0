"""What the planner and the kernels tell each other: specs that ask, facts and counters that answer.

A spec travels as a staged call's first argument and is the whole order: a kernel needs nothing else
but the columns of the call, so that the same text runs in this process, in a worker and on an
executor. Specs are JSON with sorted keys: equal orders are equal texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Protocol, get_args, get_type_hints

from msgspec import Struct, to_builtins
from msgspec.structs import asdict

if TYPE_CHECKING:
    import pyarrow as pa

PACKAGE = "vista_sql.udfs"

LAYER_SLOTS = (*range(1, 17), 32, 64, 128, 256, 512, 1024)
"""How many layers one call of an inference kernel can return: a function is registered for each."""

RECENT_BYTES = 48 << 20
"""Results of the latest images that the kernels keep, for streams in which images repeat."""

DECODING_BYTES = 1 << 28
"""What images may take together while they are decoded; one that takes more is decoded alone."""

MOST_DECODING_BYTES = 3 << 29
"""What one image may take: 2²⁸ pixels of RGB, half of that with transparency, fewer of an AVIF."""

READ_BYTES = 1 << 26
"""Encoded bytes of files and URIs between reading and decoding, but for one thread's latest."""

BYTES_OF_A_LIST = (
    "unhex(list_aggregate(list_transform(…, lambda b: format('{:02x}', b)), 'string_agg', ''))"
)
"""How a UTINYINT[] that holds a file's bytes becomes a BLOB."""

BATCH_LENGTHS = (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Engines pad batches to one of these lengths: few shapes to compile for, and never a single row,
which some operations treat as a vector."""

GRANULE = 16
"""Rows whose values are computed alike wherever they stand in a batch of a multiple of so many.

TensorFlow computes roots and exponentials of 16 float32 values at a time in another way than of the
few left over at a tensor's end; a multiple of 16 rows leaves none over, whatever their shape.
"""

WIDEST_BYTES = 256 << 20  # of the widest layer's float32 value over one micro-batch
MOST_AT_ONCE = 32  # no gain beyond 16 on a CPU (benchmarks/bench_inference.py)

MapPool = Literal["max2x2", "avg2x2", "gap", "gmp", "gem", "none"]
"""Poolings of a feature map; max2x2 is the Vista paper's g_l (section 3.2, footnote 4)."""

POOLS: tuple[MapPool, ...] = get_args(MapPool)

TokenPool = Literal["cls", "mean", "grid"]
"""Poolings of tokens: the class token; the mean of those of places; these as a map, max2x2."""

TOKEN_POOLS: tuple[TokenPool, ...] = get_args(TokenPool)

Pool = MapPool | TokenPool

Dtype = Literal["float32", "bfloat16"]
"""The arithmetic of inference."""

Device = Literal["auto", "cpu", "gpu"]
"""Where inference runs; 'auto' is a GPU where there is one."""

Engine = Literal["tensorflow", "openvino"]
"""Who runs a network: a folder of `udfs/network/engines/` each."""

Resize = Literal["antialias", "triangle", "bicubic", "bilinear"]
"""How an image is made smaller or larger; docs/images.md says what each is."""

Fit = Literal["stretch", "crop", "pad"]
"""How an image comes into an input of another aspect."""

Region = Literal["crop", "roi_pool", "roi_align"]
"""How a box of an image becomes features; docs/regions.md says what each is."""

ROI_POOLS: Mapping[Region, tuple[MapPool, ...]] = {
    "roi_pool": ("max2x2", "gmp"),
    "roi_align": ("avg2x2", "gap"),
}
"""What a box is pooled to that is read off a layer's map; the first is the default."""

REASON = "error"
"""The column of an image relation that says why an image is NULL: VISTA_PREPARE returns it."""

IMAGE_SUFFIXES = (
    *("avif", "bmp", "dib", "gif", "jfif", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm"),
    *("ppm", "tif", "tiff", "webp"),
    *("heic", "heif", "jp2", "jxl"),  # refused one by one, each with its reason
)
"""What the names of image files end in, in any case."""


class AtHand(NamedTuple):
    """What is known of some images beforehand; None: of none of them."""

    image_bytes: float | None = None  # mean, encoded
    decoding_bytes: int | None = None  # the most that decoding one takes
    prepared_share: float = 0.0  # of them, those that are never decoded (VISTA_PREPARE)


class Lending(Struct, frozen=True):
    """A layer whose raw maps a call lends to later calls upon the same rows."""

    layer: str  # the network's own name
    computation: str  # a digest: equal ones compute equal values
    takers: int  # how many calls take them


class InferSpec(Struct, frozen=True):
    """One pass over a part of a CNN: from the image (or a layer's raw map) to some layers.

    `layers` are the network's own names, bottom to top. `batch_rows` is the most rows in one
    micro-batch (None: the kernel's own choice); it never changes a bit of the result.

    With a `store`, an image whose layers are all there is neither decoded nor inferred; where some
    are, the others are. What is inferred is kept before the call returns. `base` is a layer whose
    stored raw map an image starts from where there is one, and `materialize` are layers whose raw
    maps are kept beside the features of every image that is inferred.

    Calls upon the same rows, of CNNs that begin alike, infer what they have in common once: the
    first one lends raw maps, and a later one takes those of its `base`.
    """

    cnn: str  # a roster name, or the path of a file that holds a network
    layers: tuple[str, ...]
    start: str | None = None  # None: the image; else the layer whose raw map is the input
    pool: Pool = "max2x2"
    weights: str | None = None  # None: the CNN's default; 'imagenet', 'bundled', 'random' or a file
    seed: int = 0  # of weights => 'random'
    dtype: Dtype = "float32"
    device: Device = "auto"
    engine: Engine = "tensorflow"
    resize: Resize | None = None  # None: as the weights want their images
    fit: Fit | None = None  # likewise
    region: Region | None = None  # None: of whole images; else calls have a column of boxes
    on_error: Literal["null", "raise"] = "null"
    batch_rows: int | None = None
    threads: int | None = None
    folder: str = ""  # what relative image paths are relative to; "" is the process's folder
    schemes: str = ""  # of URIs that may be read, as 'file,https'; 'a;b': by both lists; "": all
    run: str = ""  # the run that counts and errors belong to; "" outside any run
    call: int = 0  # calls of one TRANSFER that see the same rows: these count once
    image_key: str = ""  # where nobody named the image: the key, beside which a text may be it
    image_name: str = ""  # … and the only column that may be the image, if only one may
    pixels_kept_for: int = 0  # later calls upon these rows, of other CNNs, that need these pixels
    pixels_taken: bool = False  # an earlier call keeps the pixels for this one
    lends: tuple[Lending, ...] = ()  # bottom to top, each from the one below it
    borrows: str = (
        ""  # the computation of the base, whose maps an earlier call lends; "": none does
    )
    store: str = ""  # the feature store's folder; "": not a byte is read or written
    store_bytes: int = 0  # most bytes of it; 0: the store's own choice
    store_required: bool = False  # a store that cannot be used is an error
    base: str | None = None
    materialize: tuple[str, ...] = ()
    decoding_bytes: int = 0  # that images may take while they are decoded; 0: all that any may
    gate: str = ""  # of a training that may say it has seen enough: images are NULL from then on
    mean: tuple[float, ...] = ()  # of an .onnx file's input = (pixels - mean) × scale; (): unsaid
    scale: tuple[float, ...] = ()
    channels: str = ""  # 'rgb', 'bgr' or 'gray'; "": unsaid

    def to_text(self) -> str:
        """Return the spec as JSON; fields at their default are left out."""
        defaults = InferSpec(cnn="", layers=())
        changed = {k: v for k, v in to_builtins(self).items() if v != getattr(defaults, k)}
        return json.dumps(changed, sort_keys=True, separators=(",", ":"))

    @staticmethod
    @lru_cache(maxsize=1024)
    def from_text(text: str) -> InferSpec:
        """Return the spec that `to_text` wrote."""
        changed = json.loads(text)
        lists = {n: tuple(changed.get(n, ())) for n in ("layers", "materialize", "mean", "scale")}
        lends = tuple(Lending(**one) for one in changed.get("lends", ()))
        return InferSpec(**changed | lists | {"lends": lends})


Topic = Literal[
    "transfer", "below inference", "data", "candidate", "decision", "stage", "note", "time", "work",
    "count", "sql",
]  # fmt: skip
"""What a fact of VISTA_EXPLAIN is about; docs/operating.md says what each topic's rows are."""

Varchar = Annotated[str | None, "VARCHAR"]
Boolean = Annotated[bool | None, "BOOLEAN"]
Integer = Annotated[int | None, "INTEGER"]
BigInt = Annotated[int | None, "BIGINT"]
Double = Annotated[float | None, "DOUBLE"]


class Fact(Struct, frozen=True, kw_only=True):
    """A row of VISTA_EXPLAIN: a field per column, in the columns' order; None is NULL."""

    transfer: Integer = None  # which of the statement's TRANSFERs, from 1; None: all of it
    topic: Annotated[Topic, "VARCHAR"]
    item: Varchar = None
    chosen: Boolean = None
    why: Varchar = None
    flops_per_image: BigInt = None
    peak_bytes: BigInt = None
    actual_peak_bytes: BigInt = None
    images_inferred: BigInt = None
    actual_images_inferred: BigInt = None
    layer_evaluations: BigInt = None
    actual_layer_evaluations: BigInt = None
    estimated_seconds: Double = None
    actual_seconds: Double = None
    share: Double = None  # of the wall time
    value: Double = None
    detail: Varchar = None


EXPLANATION: Mapping[str, str] = {
    name: get_args(hint)[1] for name, hint in get_type_hints(Fact, include_extras=True).items()
}
"""The columns of VISTA_EXPLAIN (name → DuckDB type)."""


class MeasureSpec(Struct, frozen=True):
    """A measured statement: the facts of its plan, and the run that its kernels count under.

    Example:
        >>> spec = MeasureSpec((Fact(topic="stage", item="1", detail="sort"),), "run/1", "run")
        >>> spec.to_text()
        '{"facts":[{"detail":"sort","item":"1","topic":"stage"}],"run":"run/1","whole_run":"run"}'
        >>> MeasureSpec.from_text(spec.to_text()) == spec
        True
    """

    facts: tuple[Fact, ...]
    run: str
    whole_run: str  # that `run` is a part of

    def to_text(self) -> str:
        """Return the spec as JSON; columns that are NULL are left out."""
        facts = [{k: v for k, v in asdict(fact).items() if v is not None} for fact in self.facts]
        order = {"facts": facts, "run": self.run, "whole_run": self.whole_run}
        return json.dumps(order, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_text(text: str) -> MeasureSpec:
        """Return the spec that `to_text` wrote."""
        order = json.loads(text)
        facts = tuple(Fact(**fact) for fact in order["facts"])
        return MeasureSpec(facts, order["run"], order["whole_run"])


class Timer(Struct, frozen=True):
    """A counter of seconds that the kernels keep for a run, and what people read it as.

    Example:
        >>> TRAIN.name, TRAIN.item, TRAIN.label
        ('train', 'train, later passes', 'training, later passes')
    """

    counter: str  # attribute of a run's counters
    item: str  # of VISTA_EXPLAIN
    label: str  # in a report
    detail: str  # what the seconds went to
    summed: bool = False  # over the threads that decode

    @property
    def name(self) -> str:
        """The counter's name without its unit, as records of runs have it."""
        return self.counter.rpartition(".")[2].removesuffix("_seconds")

    def seconds(self, counters: object) -> float:
        """Return the seconds that a run's counters hold."""
        return float(attrgetter(self.counter)(counters))


LOAD = Timer(
    "load_seconds", "load", "loading the network", "TensorFlow and networks, once in a process"
)
TRAIN = Timer(
    "train_seconds", "train, later passes", "training, later passes", "all iterations of all models"
)
WALL = (
    LOAD,
    Timer(
        "clock.infer_seconds", "infer", "inferring", "the network ran; pooling is part of it"
    ),
    Timer(
        "clock.fetch_stall_seconds",
        "fetch stall",
        "waiting for images",
        "inference waited for the bytes of images: storage or network is slow",
    ),
    Timer(
        "clock.prep_stall_seconds",
        "prep stall",
        "waiting for decoding",
        "inference waited for pixels, bytes being there: decoding and resizing are slow",
    ),
    Timer(
        "clock.rows_stall_seconds",
        "join stall",
        "waiting for rows",
        "inference waited for DuckDB's rows: tables, join, filters, BLOBs",
    ),
    TRAIN,
)  # fmt: skip
"""Parts of the wall time: only one of them runs at a time."""

WORK = (
    Timer(
        "rows_seconds",
        "join",
        "rows of the tables",
        "reading the narrow rows, where they are staged apart",
    ),
    Timer("read_seconds", "read", "reading images", "bytes of images: files and URIs", summed=True),
    Timer("decode_seconds", "decode", "decoding", "decoding and resizing", summed=True),
    Timer(
        "store_seconds",
        "store, look up",
        "looking up in the store",
        "digests, and reading what is kept",
        summed=True,
    ),
    LOAD,
    Timer("infer_seconds", "infer", "inferring", "passes of the network"),
    Timer(
        "keep_seconds",
        "store, keep",
        "keeping in the store",
        "packing and committing what was inferred",
    ),
    Timer(
        "pool_seconds", "pool", "pooling", "raw maps of a stage; else inside the network's graph"
    ),
    Timer(
        "feed_seconds",
        "train, first pass",
        "training, first pass",
        "split and kept as they come; summed",
    ),
    TRAIN,
)
"""Stages of the work, in their order: most of them run beside each other."""


class Waits(Protocol):
    """Seconds that a statement's calls took, by what they waited for."""

    infer_seconds: float
    fetch_stall_seconds: float
    prep_stall_seconds: float
    rows_stall_seconds: float


class Counts(Protocol):
    """What the kernels counted for a run; the seconds of `WALL` and `WORK` are there, too."""

    images_inferred: int
    images_from_store: int

    @property
    def rows(self) -> int:
        """How many rows were read."""

    @property
    def images(self) -> int:
        """How many of them have an image."""

    @property
    def errors(self) -> int:
        """How many of these cannot be read."""

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """(key, reason) of those, the first ones."""

    @property
    def clock(self) -> Waits:
        """Where the time went."""


class ProcessRuntime(Protocol):
    """What all kernels of a process share, as hosts use it; `udfs.passes.runtime` fulfils it."""

    def for_call(self, raise_if_cancelled: Callable[[], None]) -> ProcessRuntime:
        """Return the runtime for one call, whose steps ask `raise_if_cancelled` first."""

    def counters(self, run: str) -> Counts:
        """Return the counts of a run; they go on counting while the run does."""

    def handing_out_rows(self, run: str) -> AbstractContextManager[None]:
        """Enclose the engine's reading of a run's rows."""

    def timed(self) -> Mapping[tuple[str, str, str, str], Mapping[str, tuple[int, float]]]:
        """Return what networks took: (CNN, dtype, device, engine) → layer → (FLOPs, seconds)."""

    def forget(self, run: str) -> None:
        """Drop the counts of a run."""

    def end(self, run: str) -> None:
        """Drop the counts of a run and what it began and did not finish."""

    def close(self) -> None:
        """End what is fed, and threads."""


class Kernel(Struct, frozen=True):
    """One SQL function's Python side.

    `function(runtime, *columns)` takes Arrow arrays of equal length (0 to any number of rows) and
    returns an array of that length, row i for row i. It is called from several threads at once.
    `parameters` are DuckDB types, or None where a call takes any number of any types.
    """

    name: str
    parameters: tuple[str, ...] | None
    returns: str
    function: Callable[..., pa.Array]
    is_long: bool = False  # it works long without asking its runtime whether it is cancelled
    undo: Callable[..., None] | None = None  # called as `function` was, where that was cancelled


def rows_at_once(widest_values: int, granule: int, most: int = MOST_AT_ONCE) -> int:
    """Return how many images a network runs at once by itself: a power of two.

    Plans take multiples of it, so that no batch is filled up with rows that nobody asked for.

    Args:
        widest_values: of one image, in the network's widest layer or its input.
        granule: what its batches' lengths are multiples of; a power of two.
        most: a power of two that is never exceeded.

    Example:
        >>> rows_at_once(114 * 114 * 64, 2), rows_at_once(4000 * 4000, 2)
        (32, 4)
    """
    rows = max(1, min(most, WIDEST_BYTES // (4 * widest_values)))
    return max(granule, 1 << (rows.bit_length() - 1))


def padded_rows(rows: int, granule: int) -> int:
    """Return the length that a batch of so many rows is padded to.

    Example:
        >>> padded_rows(33, 2), padded_rows(33, 16), padded_rows(300, 16)
        (48, 48, 304)
    """
    fitting = (n for n in BATCH_LENGTHS if n >= rows and n % granule == 0)
    return next(fitting, -(-rows // granule) * granule)


def sized_name(base: str, n_layers: int) -> str:
    """Return the SQL name of the kernel `base` that can return `n_layers` layers.

    Example:
        >>> sized_name("vista_infer", 20)
        'vista_infer_32'
    """
    return f"{base}_{next(slots for slots in LAYER_SLOTS if slots >= n_layers)}"
