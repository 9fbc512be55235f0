"""The threads that read, decode and commit, for all calls of a process."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

READERS = 16  # remote images read at once: a store that answers in 100 ms gives 160 a second


class Threads:
    """Sets of threads, each made when it is first asked for; safe in any thread."""

    def __init__(self, n_decoders: int) -> None:
        self.n_decoders = n_decoders
        self._lock = threading.Lock()
        self._decoders: ThreadPoolExecutor | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._committer: ThreadPoolExecutor | None = None

    def decoders(self) -> ThreadPoolExecutor:
        """Return the threads that read local images and decode all."""
        with self._lock:
            if self._decoders is None:
                self._decoders = ThreadPoolExecutor(
                    self.n_decoders, thread_name_prefix="vista-decode"
                )
            return self._decoders

    def readers(self) -> ThreadPoolExecutor:
        """Return the threads that wait for remote images; `images.memory` bounds what they hold."""
        with self._lock:
            if self._readers is None:
                self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="vista-read")
            return self._readers

    def committer(self) -> ThreadPoolExecutor:
        """Return the one thread that waits for the disk while the network runs."""
        with self._lock:
            if self._committer is None:
                self._committer = ThreadPoolExecutor(1, thread_name_prefix="vista-commit")
            return self._committer

    def close(self) -> None:
        """End the threads once their work is done; they are made anew when asked for."""
        with self._lock:
            pools = self._decoders, self._readers, self._committer
            ending = [pool for pool in pools if pool is not None]
            self._decoders = self._readers = self._committer = None
        for pool in ending:
            pool.shutdown()
