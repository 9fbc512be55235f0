"""What there is to work with: the machine's cores and bytes, and what a host can do."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

RESERVE_BYTES = 512 * 2**20
"""Left to the operating system and everything else in this process."""

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True, slots=True)
class Resources:
    """Cores and memory that a plan may use, and where the memory limit comes from."""

    cores: int
    memory_bytes: int
    memory_source: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a host can do; differences between hosts are data, not branches."""

    host: str
    vector_rows: int = 2048  # DuckDB's STANDARD_VECTOR_SIZE: most rows in one call of a kernel
    array_limit: int = 100_000  # most values in an ARRAY; longer features are lists
    small_batches: bool = False  # can hand rows to the kernels in batches of the plan's size


def machine(memory_limit: int | None = None) -> Resources:
    """Return this machine's resources under the smallest of its limits.

    Args:
        memory_limit: a limit in bytes that the user set, or None.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = []
    if hasattr(os, "sysconf"):
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limits.append((physical - RESERVE_BYTES, "the machine's memory, less a reserve"))
    for path in _CGROUP_LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < 2**60:
            limits.append((int(text) - RESERVE_BYTES, f"{path}, less a reserve"))
    if memory_limit is not None:
        limits.append((memory_limit, "memory_limit"))
    memory_bytes, source = min(limits)
    return Resources(cores or 1, max(memory_bytes, 0), source)
