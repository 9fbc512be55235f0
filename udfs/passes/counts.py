"""What the kernels did for one run, in numbers."""

from __future__ import annotations

import time

from msgspec import Struct, field

from .clock import Clock

MAX_ERRORS = 1000  # reasons kept per run; beyond that they are only counted


class Tally(Struct):
    """The rows that one call of a TRANSFER saw."""

    rows: int = 0
    images: int = 0  # rows whose image is not NULL
    errors: int = 0  # rows whose image cannot be read
    reasons: list[tuple[str, str]] = field(default_factory=list)  # (key, reason)

    def add(self, other: Tally) -> None:
        """Add what the same call saw in another part of the run."""
        self.rows += other.rows
        self.images += other.images
        self.errors += other.errors
        self.reasons += other.reasons[: MAX_ERRORS - len(self.reasons)]


class Amounts(Struct):
    """What adds up: over calls, threads and parts of a run. Every field is a number."""

    images_inferred: int = 0  # without those that only pad a batch
    images_from_store: int = 0  # nothing of them was inferred
    images_resumed: int = 0  # of those inferred: from a stored raw map, not from the image
    batches: int = 0  # micro-batches
    layer_evaluations: int = 0  # images inferred × layers returned
    decoded: int = 0  # images whose bytes were handed to the decoder; prepared ones are copied
    rows_seconds: float = 0.0  # until the engine handed out rows, where that can be seen
    read_seconds: float = 0.0  # summed over threads, as all that follow
    decode_seconds: float = 0.0
    store_seconds: float = 0.0  # of images: their digests, and reading what there is of them
    keep_seconds: float = 0.0  # of what was inferred: packing and committing it
    infer_seconds: float = 0.0
    pool_seconds: float = 0.0  # of raw maps, in vista_pool; else a part of infer_seconds
    load_seconds: float = 0.0  # of networks: TensorFlow's import, weights, lowering
    feed_seconds: float = 0.0  # a training's first pass, over the rows as they come
    train_seconds: float = 0.0  # its later passes

    def by_name(self) -> dict[str, float]:
        """Return the amounts that are not 0, as `Runtime.count` takes them."""
        amounts = {name: getattr(self, name) for name in Amounts.__struct_fields__}
        return {name: amount for name, amount in amounts.items() if amount}


class RunCounts(Amounts):
    """What the kernels did for one run. `Runtime` is the only writer."""

    began: float = field(default_factory=time.perf_counter)
    clock: Clock = field(default_factory=Clock)
    tallies: dict[int, Tally] = field(default_factory=dict)  # by `InferSpec.call`

    @property
    def tally(self) -> Tally:
        """The rows of a run: calls of one TRANSFER see the same ones, and not all need be made."""
        return max(self.tallies.values(), key=lambda tally: tally.rows, default=Tally())

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return self.tally.rows

    @property
    def images(self) -> int:
        """How many of them have an image."""
        return self.tally.images

    @property
    def errors(self) -> int:
        """How many of these cannot be read."""
        return self.tally.errors

    @property
    def reasons(self) -> list[tuple[str, str]]:
        """(key, reason) of those, the first ones."""
        return self.tally.reasons

    def add(self, other: RunCounts) -> None:
        """Add what another run did; its beginning and its clock stay its own."""
        for name in Amounts.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for call, tally in other.tallies.items():
            self.tallies.setdefault(call, Tally()).add(tally)
