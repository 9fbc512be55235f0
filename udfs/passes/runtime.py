"""What the kernels of one process share: loaded networks, decode threads, counters."""

from __future__ import annotations

import copy
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

from msgspec.structs import replace

from vista_sql import catalog
from vista_sql.fed_runs import FedKind, FedRuns
from vista_sql.kernels import PACKAGE, InferSpec, ProcessRuntime
from vista_sql.machine.resources import cores
from vista_sql.store import Store
from vista_sql.tfrecord.files import Positions
from vista_sql.tfrecord.writing import Exports

from ..images.memory import InFlight
from ..network import hog, networks
from .clock import Clock
from .counts import MAX_ERRORS, RunCounts, Tally
from .lent import MOST_MAP_BYTES, MOST_PIXEL_BYTES, Lent
from .sharing import Sharing
from .threads import Threads

OUTCOMES = 1 << 16  # decoded images whose outcome is remembered, about 100 bytes each
CALLS = 3  # inferring or decoding at once, however many threads an engine has: each holds pixels

FED = f"{PACKAGE}.fed"
"""Where the kinds of runs are that are fed rows."""

Key: TypeAlias = tuple[Hashable, str, str, str]
"""Of a network: what it is, dtype, device, engine."""


def _key(opened: networks.OpenCnn, spec: InferSpec) -> Key:
    """Return what tells networks apart; shifting and scaling pixels is a part of them."""
    pixels = opened.cnn.preprocessing
    what = (opened.identity, pixels.mean, pixels.scale)
    return what, spec.dtype, spec.device, spec.engine


def _kind(runtime: Runtime, name: str) -> FedKind:
    """Return what there is to know of runs that are fed rows, by the name of their kind."""
    kind = catalog.load(FED, name, "KIND", FedKind)
    return replace(kind, begin=partial(kind.begin, runtime)) if kind.takes_runtime else kind


def _never() -> None:
    """Let a call go on: nobody can cancel it."""


class Runtime(ProcessRuntime):
    """Networks, threads and counters that the kernels of one process share; safe in any thread."""

    def __init__(self, open_cnn: Callable[[InferSpec], networks.OpenCnn] | None = None) -> None:
        """Make what is shared; TensorFlow is imported and threads start when they are first used.

        Args:
            open_cnn: finds a spec's CNN and weights; None: the roster and `vista_sql.weights`.
        """
        self.raise_if_cancelled: Callable[[], None] = _never
        """Asked before each step of a call; what it raises ends the call."""
        self._open = open_cnn or networks.open_cnn
        self._lock = threading.Lock()  # of the tables below, never held for long
        self._counters: dict[str, RunCounts] = {}
        self._loading: dict[object, threading.Lock] = {}
        self._networks: dict[Key, networks.Network | hog.Hog] = {}
        self._outcomes: OrderedDict[Hashable, str | None] = OrderedDict()
        self._stores: dict[tuple[str, int], Store] = {}
        self.threads = Threads(cores())
        self.calls = threading.BoundedSemaphore(CALLS)
        self.inference = threading.Lock()  # held while TensorFlow runs: one stream per process
        self.sharing = Sharing()
        self.decoded = Lent(MOST_PIXEL_BYTES)
        self.maps = Lent(MOST_MAP_BYTES)
        self.in_flight = InFlight()
        self.unusable: set[str] = set()  # folders of stores that proved to be
        self.positions = Positions()
        self.exports = Exports()
        self.fed_runs = FedRuns(partial(_kind, self))

    def for_call(self, raise_if_cancelled: Callable[[], None]) -> Runtime:
        """Return this runtime as one call sees it: all is shared but who may cancel the call.

        Args:
            raise_if_cancelled: asked before each step of the call; what it raises ends the call.
        """
        view = copy.copy(self)
        view.raise_if_cancelled = raise_if_cancelled
        return view

    def network(self, spec: InferSpec) -> networks.Network | hog.Hog:
        """Return the spec's network, loaded by the first caller while others wait.

        Raises:
            UnknownNameError: there is no such CNN.
            WeightsError: its weights are missing, damaged, or of another network.
        """
        opened = self._open(spec)
        key = _key(opened, spec)
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            if key not in self._networks:
                began = time.perf_counter()
                if opened.cnn.name == hog.NAME:
                    self._networks[key] = hog.Hog(opened.cnn)
                else:
                    self._networks[key] = networks.Network(
                        opened, spec.dtype, spec.device, spec.threads, spec.engine
                    )
                self.count(spec.run, load_seconds=time.perf_counter() - began)
            return self._networks[key]

    def opened(self, spec: InferSpec) -> networks.OpenCnn:
        """Return the spec's CNN with its weights chosen, not loaded."""
        return self._open(spec)

    def timed(self) -> dict[tuple[str, str, str, str], dict[str, tuple[int, float]]]:
        """Return what networks took: (CNN, dtype, device, engine) → `Network.timed`."""
        with self._lock:
            loaded = list(self._networks.items())
        return {
            (network.cnn.name, dtype, device, engine): network.timed
            for (_, dtype, device, engine), network in loaded
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
        return _key(self._open(spec), spec) in self._networks

    def count(self, run: str, **amounts: float) -> None:
        """Add `amounts` to the counters of `run` by their names."""
        with self._lock:
            counters = self._counters.setdefault(run, RunCounts())
            for name, amount in amounts.items():
                setattr(counters, name, getattr(counters, name) + amount)

    def tally(self, run: str, call: int, rows: int, images: int) -> None:
        """Count the rows of a call; `call` tells apart the calls that see the same rows."""
        with self._lock:
            counters = self._counters.setdefault(run, RunCounts())
            tally = counters.tallies.setdefault(call, Tally())
            tally.rows += rows
            tally.images += images

    def unreadable(self, run: str, key: str, reason: str, call: int) -> None:
        """Count one row whose image cannot be read."""
        with self._lock:
            counters = self._counters.setdefault(run, RunCounts())
            tally = counters.tallies.setdefault(call, Tally())
            tally.errors += 1
            if len(tally.reasons) < MAX_ERRORS:
                tally.reasons.append((key, reason))

    def counters(self, run: str = "") -> RunCounts:
        """Return the counters of `run`; they go on counting while the run does."""
        with self._lock:
            return self._counters.setdefault(run, RunCounts())

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

    def fold(self, run: str, into: str) -> RunCounts:
        """End a part of the run `into`: add its counters to that and return them."""
        with self._lock:
            part = self._counters.pop(run, None) or RunCounts()
            if into != run:
                self._counters.setdefault(into, RunCounts()).add(part)
            return part

    def forget(self, run: str) -> None:
        """Drop the counters of `run` and of its parts, `run/…`."""
        with self._lock:
            for name in [n for n in self._counters if n == run or n.startswith(f"{run}/")]:
                del self._counters[name]
        self.maps.forget(run)
        self.exports.end(run)

    def end(self, run: str) -> None:
        """Drop the counters of `run` and what it began and did not finish."""
        self.forget(run)
        self.fed_runs.end(run)

    def outcome(self, identity: Hashable) -> tuple[bool, str | None]:
        """Return (known, reason) of an image decoded before; reason None: it decoded well."""
        with self._lock:
            if identity not in self._outcomes:
                return False, None
            return True, self._outcomes[identity]

    def set_outcome(self, identity: Hashable, reason: str | None) -> None:
        """Remember how decoding an image went."""
        with self._lock:
            self._outcomes[identity] = reason
            while len(self._outcomes) > OUTCOMES:
                self._outcomes.popitem(last=False)

    def close(self) -> None:
        """End what is fed, and threads; networks stay until the runtime is dropped."""
        self.fed_runs.close()
        self.threads.close()
