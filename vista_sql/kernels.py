"""What a staged SQL call asks of a kernel: the specs that travel as its first argument.

A spec is the whole order: a kernel needs nothing else but the columns of the call, so that the same
text runs in this process, in a worker and on an executor. Specs are JSON with sorted keys: equal
orders are equal texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

PACKAGE = "vista_sql.udfs"

LAYER_SLOTS = (*range(1, 17), 32, 64, 128, 256, 512, 1024)
"""How many layers one call of an inference kernel can return: a function is registered for each."""

RECENT_BYTES = 48 << 20
"""Results of the latest images that the kernels keep, for streams in which images repeat."""

POOLS = ("max2x2", "avg2x2", "gap", "gmp", "gem", "none")
"""Poolings of a feature map; max2x2 is the Vista paper's g_l (section 3.2, footnote 4)."""


@dataclass(frozen=True, slots=True)
class InferSpec:
    """One pass over a part of a CNN: from the image (or a layer's raw map) to some layers.

    `layers` are the network's own names, bottom to top. `batch_rows` is the most rows in one
    micro-batch (None: the kernel's own choice); it never changes a bit of the result.

    With a `store`, an image whose layers are all there is neither decoded nor inferred; where some
    are, the others are. What is inferred is kept before the call returns. `base` is a layer whose
    stored raw map an image starts from where there is one, and `materialize` are layers whose raw
    maps are kept beside the features of every image that is inferred.
    """

    cnn: str  # a roster name, or the path of a .keras file
    layers: tuple[str, ...]
    start: str | None = None  # None: the image; else the layer whose raw map is the input
    pool: str = "max2x2"
    weights: str | None = None  # None: the CNN's default; 'imagenet', 'bundled', 'random' or a file
    seed: int = 0  # of weights => 'random'
    dtype: str = "float32"
    device: str = "auto"
    on_error: Literal["null", "raise"] = "null"
    batch_rows: int | None = None
    threads: int | None = None
    folder: str = ""  # what relative image paths are relative to; "" is the process's folder
    run: str = ""  # the run that counts and errors belong to; "" outside any run
    call: int = 0  # calls of one TRANSFER that see the same rows: these count once
    image_key: str = ""  # where the image arrives as a whole row: the key, which is not the image
    image_name: str = ""  # … and the only column that may be the image, if only one may
    pixels_kept_for: int = 0  # later calls upon these rows, of other CNNs, that need these pixels
    pixels_taken: bool = False  # an earlier call keeps the pixels for this one
    store: str = ""  # the feature store's folder; "": not a byte is read or written
    store_bytes: int = 0  # most bytes of it; 0: the store's own choice
    store_required: bool = False  # a store that cannot be used is an error
    base: str | None = None
    materialize: tuple[str, ...] = ()
    gate: str = ""  # of a training that may say it has seen enough: images are NULL from then on

    def to_text(self) -> str:
        """Return the spec as JSON; fields at their default are left out."""
        defaults = InferSpec(cnn="", layers=())
        changed = {k: v for k, v in asdict(self).items() if v != getattr(defaults, k)}
        return json.dumps(changed, sort_keys=True, separators=(",", ":"))

    @staticmethod
    @lru_cache(maxsize=1024)
    def from_text(text: str) -> InferSpec:
        """Return the spec that `to_text` wrote."""
        changed = json.loads(text)
        lists = {name: tuple(changed.get(name, ())) for name in ("layers", "materialize")}
        return InferSpec(**changed | lists)


EXPLANATION = {
    "transfer": "INTEGER",  # which of the statement's TRANSFERs, from 1; NULL: all of it
    "topic": "VARCHAR",
    "item": "VARCHAR",
    "chosen": "BOOLEAN",
    "why": "VARCHAR",
    "flops_per_image": "BIGINT",
    "peak_bytes": "BIGINT",
    "actual_peak_bytes": "BIGINT",
    "images_inferred": "BIGINT",
    "actual_images_inferred": "BIGINT",
    "layer_evaluations": "BIGINT",
    "actual_layer_evaluations": "BIGINT",
    "estimated_seconds": "DOUBLE",
    "actual_seconds": "DOUBLE",
    "share": "DOUBLE",  # of the wall time
    "value": "DOUBLE",
    "detail": "VARCHAR",
}
"""The columns of VISTA_EXPLAIN, a row per fact (name → DuckDB type)."""

Fact = Mapping[str, Any]
"""A row of EXPLANATION by column; what is absent is NULL."""


class Counts(Protocol):
    """What the kernels counted for a run."""

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


class ProcessRuntime(Protocol):
    """What all kernels of a process share, as hosts use it; `udfs.passes.runtime` fulfils it."""

    def for_call(self, raise_if_cancelled: Callable[[], None]) -> ProcessRuntime:
        """Return the runtime for one call, whose steps ask `raise_if_cancelled` first."""

    def counters(self, run: str) -> Counts:
        """Return the counts of a run; they go on counting while the run does."""

    def handing_out_rows(self, run: str) -> AbstractContextManager[None]:
        """Enclose the engine's reading of a run's rows."""

    def timed(self) -> Mapping[tuple[str, str, str], Mapping[str, tuple[int, float]]]:
        """Return what networks took: (CNN, dtype, device) → layer → (operations, seconds)."""

    def forget(self, run: str) -> None:
        """Drop the counts of a run."""

    def end(self, run: str) -> None:
        """Drop the counts of a run and what it began and did not finish."""

    def close(self) -> None:
        """End trainings and threads."""


@dataclass(frozen=True, slots=True)
class Kernel:
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


def gated(sql: str, gate: str) -> str:
    """Return staged SQL whose inference asks at `gate` whether images are still wanted."""
    return re.sub(r"\b(vista_(?:error|(?:infer|maps)_\d+)\('\{)", rf'\1"gate":"{gate}",', sql)


def sized_name(base: str, n_layers: int) -> str:
    """Return the SQL name of the kernel `base` that can return `n_layers` layers.

    Example:
        >>> sized_name("vista_infer", 20)
        'vista_infer_32'
    """
    return f"{base}_{next(slots for slots in LAYER_SLOTS if slots >= n_layers)}"
