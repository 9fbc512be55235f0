"""A module of ours → the same, run as a program in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping


def run(
    module: str,
    *arguments: str,
    variables: Mapping[str, str],
    timeout_seconds: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a module by this Python, with the packages of this process; return what it said.

    Args:
        module: its name.
        arguments: the program's.
        variables: of its environment, beside those of this process.
        timeout_seconds: how long it may take; None: for ever.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it took longer, and was ended.
    """
    packages = os.pathsep.join(place for place in sys.path if place)
    return subprocess.run(
        [sys.executable, "-P", "-m", module, *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": packages, **variables},
        stdin=subprocess.DEVNULL,
        timeout=timeout_seconds,
    )
