"""What the kernels of one process share: loaded networks, decode threads, counters."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields

from vista_sql.kernels import InferSpec
from vista_sql.machine.resources import cores
from vista_sql.store import Store
from vista_sql.tfrecord.files import Positions
from vista_sql.tfrecord.writing import Exports

from ..network import hog, networks
from .clock import Clock
from .decoded import Decoded
from .sharing import Sharing

OUTCOMES = 1 << 16  # decoded images whose outcome is remembered, about 100 bytes each
CALLS = 3  # inferring or decoding at once, however many threads an engine has: each holds pixels
READERS = 16  # remote images read at once: a store that answers in 100 ms gives 160 a second
MAX_ERRORS = 1000  # reasons kept per run; beyond that they are only counted

Journal = Callable[[str, str, str], None]
"""Called with (run, key, reason) for each image that cannot be read."""


@dataclass(slots=True)
class Tally:
    """The rows that one call of a TRANSFER saw."""

    rows: int = 0
    images: int = 0  # rows whose image is not NULL
    errors: int = 0  # rows whose image cannot be read
    reasons: list[tuple[str, str]] = field(default_factory=list)  # (key, reason)


@dataclass(slots=True)
class Counters:
    """What the kernels did for one run. `Runtime` is the only writer."""

    images_inferred: int = 0  # without those that only pad a batch
    images_from_store: int = 0  # nothing of them was inferred
    images_resumed: int = 0  # of those inferred: from a stored raw map, not from the image
    batches: int = 0  # micro-batches
    layer_evaluations: int = 0  # images inferred × layers returned
    decoded: int = 0
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
    began: float = field(default_factory=time.perf_counter)
    clock: Clock = field(default_factory=Clock)
    tallies: dict[int, Tally] = field(default_factory=dict)

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

    def add(self, other: Counters) -> None:
        """Add what another run did."""
        for one in fields(self):
            if one.type in ("int", "float") and one.name != "began":
                setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
        for call, tally in other.tallies.items():
            own = self.tallies.setdefault(call, Tally())
            own.rows += tally.rows
            own.images += tally.images
            own.errors += tally.errors
            own.reasons += tally.reasons[: MAX_ERRORS - len(own.reasons)]


class Runtime:
    """Networks, threads and counters that the kernels of one process share; safe in any thread."""

    def __init__(
        self,
        threads: int | None = None,
        journal: Journal | None = None,
        open_cnn: Callable[[InferSpec], networks.OpenCnn] | None = None,
    ) -> None:
        """Start nothing: TensorFlow is imported by the first inference.

        Args:
            threads: of decoding, and of TensorFlow if this is its first use; None: one per core.
            journal: told of each image that cannot be read.
            open_cnn: finds a spec's CNN and weights; None: the roster and `vista_sql.weights`.
        """
        self.threads = threads or cores()
        self._journal = journal
        self._open = open_cnn or networks.open_cnn
        self._lock = threading.Lock()  # of the tables below, never held for long
        self._counters: dict[str, Counters] = {}
        self._loading: dict[object, threading.Lock] = {}
        self._networks: dict[tuple[str, str, str], networks.Network | hog.Hog] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._outcomes: OrderedDict[object, str | None] = OrderedDict()
        self.calls = threading.BoundedSemaphore(CALLS)
        self.inference = threading.Lock()  # held while TensorFlow runs: one stream per process
        self.sharing = Sharing()
        self._stores: dict[tuple[str, int], Store] = {}
        self.unusable: set[str] = set()  # folders of stores that proved to be
        self.decoded = Decoded()
        self.positions = Positions()
        self.exports = Exports()

    def network(self, spec: InferSpec) -> networks.Network | hog.Hog:
        """Return the spec's network, loaded by the first caller while others wait.

        Raises:
            UnknownNameError: there is no such CNN.
            WeightsError: its weights are missing, damaged, or of another network.
        """
        opened = self._open(spec)
        key = (opened.identity, spec.dtype, spec.device)
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            if key not in self._networks:
                began = time.perf_counter()
                if opened.cnn.name == hog.NAME:
                    self._networks[key] = hog.Hog(opened.cnn)
                else:
                    self._networks[key] = networks.Network(
                        opened, spec.dtype, spec.device, spec.threads
                    )
                self.count(spec.run, load_seconds=time.perf_counter() - began)
            return self._networks[key]

    def opened(self, spec: InferSpec) -> networks.OpenCnn:
        """Return the spec's CNN with its weights chosen; loads nothing."""
        return self._open(spec)

    def timed(self) -> dict[tuple[str, str, str], dict[str, tuple[int, float]]]:
        """Return what networks took: (CNN, dtype, device) → `Network.timed`."""
        with self._lock:
            loaded = list(self._networks.items())
        return {
            (network.cnn.name, dtype, device): network.timed
            for (_, dtype, device), network in loaded
            if isinstance(network, networks.Network) and network.timed
        }

    def store(self, spec: InferSpec) -> Store | None:
        """Return the feature store that a spec asks for; None: it asks for none, or none works."""
        if not spec.store or (spec.store in self.unusable and not spec.store_required):
            return None
        with self._lock:
            key = (spec.store, spec.store_bytes)
            return self._stores.setdefault(key, Store(*key))

    def is_loaded(self, spec: InferSpec) -> bool:
        """Return whether the spec's network is there."""
        return (self._open(spec).identity, spec.dtype, spec.device) in self._networks

    def pool(self) -> ThreadPoolExecutor:
        """Return the threads that read and decode images."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="vista-decode")
            return self._pool

    def readers(self) -> ThreadPoolExecutor:
        """Return the threads that wait for remote images; they hold at most two batches' bytes."""
        with self._lock:
            if self._readers is None:
                self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="vista-read")
            return self._readers

    def count(self, run: str, **amounts: float) -> None:
        """Add `amounts` to the counters of `run` by their names."""
        with self._lock:
            counters = self._counters.setdefault(run, Counters())
            for name, amount in amounts.items():
                setattr(counters, name, getattr(counters, name) + amount)

    def tally(self, run: str, call: int, rows: int, images: int) -> None:
        """Count the rows of a call; `call` tells apart the calls that see the same rows."""
        with self._lock:
            counters = self._counters.setdefault(run, Counters())
            tally = counters.tallies.setdefault(call, Tally())
            tally.rows += rows
            tally.images += images

    def unreadable(self, run: str, key: str, reason: str, call: int = 0) -> None:
        """Count and journal one row whose image cannot be read."""
        with self._lock:
            counters = self._counters.setdefault(run, Counters())
            tally = counters.tallies.setdefault(call, Tally())
            tally.errors += 1
            if len(tally.reasons) < MAX_ERRORS:
                tally.reasons.append((key, reason))
        if self._journal is not None:
            self._journal(run, key, reason)

    def counters(self, run: str = "") -> Counters:
        """Return the counters of `run`; they go on counting while the run does."""
        with self._lock:
            return self._counters.setdefault(run, Counters())

    def clock(self, run: str) -> Clock:
        """Return the clock of `run`."""
        return self.counters(run).clock

    @contextmanager
    def handing_out_rows(self, run: str) -> Iterator[None]:
        """Enclose the engine's reading of a run's rows: tables, join, filters, BLOBs."""
        began = time.perf_counter()
        with self.clock(run).waiting() as wait:
            wait.rows = 1.0
            yield
        self.count(run, rows_seconds=time.perf_counter() - began)

    def fold(self, run: str, into: str) -> Counters:
        """End a part of the run `into`: add its counters to that and return them."""
        with self._lock:
            part = self._counters.pop(run, None) or Counters()
            if into != run:
                self._counters.setdefault(into, Counters()).add(part)
            return part

    def forget(self, run: str) -> None:
        """Drop the counters of `run` and of its parts, `run/…`."""
        with self._lock:
            for name in [n for n in self._counters if n == run or n.startswith(f"{run}/")]:
                del self._counters[name]
        self.exports.end(run)

    def outcome(self, identity: object) -> tuple[bool, str | None]:
        """Return (known, reason) of an image decoded before; reason None: it decoded well."""
        with self._lock:
            if identity not in self._outcomes:
                return False, None
            return True, self._outcomes[identity]

    def set_outcome(self, identity: object, reason: str | None) -> None:
        """Remember how decoding an image went."""
        with self._lock:
            self._outcomes[identity] = reason
            while len(self._outcomes) > OUTCOMES:
                self._outcomes.popitem(last=False)

    def close(self) -> None:
        """Stop the decode threads; networks stay until the runtime is dropped."""
        with self._lock:
            pools = [pool for pool in (self._pool, self._readers) if pool is not None]
            self._pool = self._readers = None
        for pool in pools:
            pool.shutdown()
