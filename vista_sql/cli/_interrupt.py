"""Ctrl-C ends the process within about a second, whatever native code is doing then.

Python hears of a signal only between two steps of its main thread, and a step may be an inference
of many images. What is written meanwhile survives a sudden end: DuckDB's files, kept models and
records of runs all do.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

EXIT_CODE = 130  # what a shell reports of a program that SIGINT ended: 128 + 2
GRACE_SECONDS = 0.7  # for the ordinary way out
MESSAGE = "vista: interrupted; run it again to start over"
_SHOW_CURSOR = "\x1b[?25h"


class Ending:
    """The end of an interrupted process, which does not wait for what libraries still tear down."""

    def __init__(self) -> None:
        self._interrupted = False

    def soon(self) -> None:
        """End within a moment, files that were made on the way removed."""
        self._interrupted = True
        timer = threading.Timer(GRACE_SECONDS, self.now)  # threads of pools may have work left
        timer.daemon = True
        timer.start()

    def now(self) -> None:
        """End here, if the process was interrupted."""
        if self._interrupted:
            with suppress(OSError, ValueError):
                sys.stderr.flush()
            os._exit(EXIT_CODE)


@contextmanager
def prompt() -> Iterator[None]:
    """End the process on Ctrl-C if the body has not ended shortly after it."""
    heard, telling = socket.socketpair()
    telling.setblocking(False)
    try:
        before = signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
    except ValueError:  # not the main thread, which alone hears of signals
        heard.close()
        telling.close()
        yield
        return
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(heard, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        telling.close()
        watcher.join()
        heard.close()


def _watch(heard: socket.socket, ended: threading.Event) -> None:
    while number := heard.recv(1):  # the signal's number; b"" when the other end is closed
        if number[0] == signal.SIGINT and not ended.wait(GRACE_SECONDS):
            shown = f"\r{_SHOW_CURSOR}\n" if sys.stderr.isatty() else ""
            os.write(2, f"{shown}{MESSAGE}\n".encode())
            os._exit(EXIT_CODE)
