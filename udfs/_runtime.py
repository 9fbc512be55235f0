"""What the kernels of one process share: loaded networks, decode threads, counters."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from vista_sql.kernels import InferSpec

from . import _networks, _tensorflow
from ._sharing import Sharing

OUTCOMES = 1 << 16  # decoded images whose outcome is remembered, about 100 bytes each
MAX_ERRORS = 1000  # reasons kept per run; beyond that they are only counted

Journal = Callable[[str, str, str], None]
"""Called with (run, key, reason) for each image that cannot be read."""


@dataclass(slots=True)
class Counters:
    """What the kernels did for one run. `Runtime.count` is the only writer."""

    rows: int = 0
    images: int = 0  # rows whose image is not NULL
    images_inferred: int = 0  # without those that only pad a batch
    batches: int = 0  # micro-batches
    layer_evaluations: int = 0  # images inferred × layers returned
    decoded: int = 0
    errors: int = 0  # rows whose image cannot be read
    decode_seconds: float = 0.0  # summed over threads
    infer_seconds: float = 0.0
    reasons: list[tuple[str, str]] = field(default_factory=list)  # (key, reason)


class Runtime:
    """Networks, threads and counters that the kernels of one process share; safe in any thread."""

    def __init__(
        self,
        threads: int | None = None,
        journal: Journal | None = None,
        open_cnn: Callable[[InferSpec], _networks.OpenCnn] | None = None,
    ) -> None:
        """Start nothing: TensorFlow is imported by the first inference.

        Args:
            threads: of decoding, and of TensorFlow if this is its first use; None: one per core.
            journal: told of each image that cannot be read.
            open_cnn: finds a spec's CNN and weights; None: the roster and `vista_sql.weights`.
        """
        self.threads = threads or _tensorflow.cores()
        self._journal = journal
        self._open = open_cnn or _networks.open_cnn
        self._lock = threading.Lock()  # of the tables below, never held for long
        self._counters: dict[str, Counters] = {}
        self._loading: dict[object, threading.Lock] = {}
        self._networks: dict[object, _networks.Network] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._outcomes: OrderedDict[object, str | None] = OrderedDict()
        self.inference = threading.Lock()  # held while TensorFlow runs: one stream per process
        self.sharing = Sharing()

    def network(self, spec: InferSpec) -> _networks.Network:
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
                self._networks[key] = _tensorflow.on_thread(
                    _networks.Network, opened, spec.dtype, spec.device
                )
            return self._networks[key]

    def opened(self, spec: InferSpec) -> _networks.OpenCnn:
        """Return the spec's CNN with its weights chosen; loads nothing."""
        return self._open(spec)

    def pool(self) -> ThreadPoolExecutor:
        """Return the threads that read and decode images."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="vista-decode")
            return self._pool

    def count(self, run: str, **amounts: float) -> None:
        """Add `amounts` to the counters of `run` by their names."""
        with self._lock:
            counters = self._counters.setdefault(run, Counters())
            for name, amount in amounts.items():
                setattr(counters, name, getattr(counters, name) + amount)

    def unreadable(self, run: str, key: str, reason: str) -> None:
        """Count and journal one row whose image cannot be read."""
        with self._lock:
            counters = self._counters.setdefault(run, Counters())
            counters.errors += 1
            if len(counters.reasons) < MAX_ERRORS:
                counters.reasons.append((key, reason))
        if self._journal is not None:
            self._journal(run, key, reason)

    def counters(self, run: str = "") -> Counters:
        """Return the counters of `run`; they go on counting while the run does."""
        with self._lock:
            return self._counters.setdefault(run, Counters())

    def forget(self, run: str) -> None:
        """Drop the counters of `run`."""
        with self._lock:
            self._counters.pop(run, None)

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
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
