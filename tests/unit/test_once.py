"""What a process has once is made once, also where threads ask at the same time."""

from __future__ import annotations

import threading
import time

import pytest

from vista_sql.once import once


def asked_by_threads(ask):
    together, found = threading.Barrier(4), []

    def run():
        together.wait()
        found.append(ask())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_threads_that_ask_together_share_one():
    @once
    def slow():
        time.sleep(0.02)
        return object()

    assert len({id(value) for value in asked_by_threads(slow)}) == 1


def test_an_error_is_not_kept():
    answers = [ValueError("not yet"), "there"]

    @once
    def flaky(name):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return f"{name} {answer}"

    with pytest.raises(ValueError, match="not yet"):
        flaky("it is")
    assert flaky("it is") == flaky("it is") == "it is there"
