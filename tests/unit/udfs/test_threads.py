"""Threads are made when they are asked for, once, and end."""

from __future__ import annotations

import threading

from vista_sql.udfs.passes.threads import READERS, Threads


def names():
    return {thread.name.rpartition("_")[0] for thread in threading.enumerate()}


def test_threads_are_made_once_and_end():
    before = names()
    threads = Threads(2)
    assert names() == before
    assert threads.decoders() is threads.decoders()
    assert threads.readers() is not threads.decoders()
    assert list(threads.decoders().map(abs, [-1, 2])) == [1, 2]
    assert threads.readers().submit(abs, -3).result() == 3
    ended = threads.decoders()
    threads.close()
    assert threads.decoders() is not ended
    assert threads.decoders().submit(abs, -1).result() == 1
    threads.close()
    threads.close()  # twice is once
    assert READERS > 2
