"""Interleaved rounds: each contestant in a process of its own, one of them at work at a time.

A busy spell of the machine falls on all alike, so ratios hold where absolute figures do not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from typing import Any


def serve(prepare: Callable[[str], Callable[[], float]], name: str) -> None:
    """Be a contestant: prepare, then for each line of stdin run once and print the seconds."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    run = prepare(name)
    run()
    print("ready", file=channel, flush=True)
    for _ in sys.stdin:
        print(json.dumps(run()), file=channel, flush=True)


class Contestant:
    """A contestant's process."""

    def __init__(self, script: str, name: str, arguments: list[str]) -> None:
        self.name = name
        self.seconds: list[float] = []
        self._process = subprocess.Popen(
            [sys.executable, script, "--serve", name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if "VISTA_BENCH_DEBUG" not in os.environ else None,
            text=True,
        )

    def ready(self) -> bool:
        """Wait until it is prepared; False where it cannot be (a library is missing, say)."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip() == "ready"

    def run(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.seconds.append(json.loads(self._process.stdout.readline()))
        return self.seconds[-1]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def compete(
    script: str, names: list[str], arguments: list[str], n_rounds: int, between: Callable[[], Any]
) -> dict[str, list[float]]:
    """Return each contestant's seconds, a round after the other; who cannot run is left out."""
    running: list[Contestant] = []
    try:
        for name in names:
            contestant = Contestant(script, name, arguments)
            if contestant.ready():
                running.append(contestant)
            else:
                print(f"  {name}: not available here")
                contestant.close()
        for _ in range(n_rounds):
            between()
            for contestant in running:
                contestant.run()
        return {contestant.name: contestant.seconds for contestant in running}
    finally:
        for contestant in running:
            contestant.close()


def spread(values: list[float]) -> str:
    """Return the median with the least and the most."""
    return f"{median(values):.3g} ({min(values):.3g}–{max(values):.3g})"
