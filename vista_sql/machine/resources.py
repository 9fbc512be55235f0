"""What there is to work with: cores, bytes, the processor, installed packages; what a host can."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath

from msgspec import Struct

RESERVE_BYTES = 512 * 2**20
"""Left to the operating system and everything else in this process."""

GROUP_SHARE = 15 / 16
"""Of a control group's limit: page tables, and pages of files that are being written, count too."""

_CGROUPS = (  # the controllers of a line of /proc/self/cgroup → its root, its limit
    ("", Path("/sys/fs/cgroup"), "memory.max"),
    ("memory", Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
)


class Resources(Struct, frozen=True):
    """Cores and memory that a plan may use, and where the memory limit comes from."""

    cores: int
    memory_bytes: int
    memory_source: str
    share: float = 1.0  # of memory_limit, where a training has the rest


class Processor(Struct, frozen=True):
    """The first processor, as the system describes it."""

    model: str  # "" where it has no name, as on ARM
    instructions: str  # its extensions in Linux's order, a space between two; "" on macOS


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor | None:
    """Return the processor; None where the system does not describe it so.

    Args:
        cpuinfo: the processors, as Linux lists them.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _macs_processor() if sys.platform == "darwin" else None
    first = text.partition("\n\n")[0]
    parts = (line.partition(":") for line in first.splitlines())
    facts = {name.strip(): value.strip() for name, _, value in parts}
    return Processor(facts.get("model name", ""), facts.get("flags", facts.get("Features", "")))


def _macs_processor() -> Processor | None:
    """Return what macOS says of its processor, like Apple M2."""
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return Processor(said.stdout.strip(), "")


@cache
def package_version(package: str) -> str | None:
    """Return the version of an installed package; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def own_version() -> str:
    """Return the version of vista_sql itself, as pyproject.toml has it."""
    return metadata.version("vista-sql")


def machine(memory_limit: int | None = None) -> Resources:
    """Return this machine's resources under the smallest of its limits.

    Args:
        memory_limit: a limit in bytes that the user set, or None.
    """
    limits = [(_physical_bytes() - RESERVE_BYTES, "the machine's memory, less a reserve")]
    for path, limit in cgroup_limits():
        limits.append((int(limit * GROUP_SHARE), f"{path}, less a reserve"))
    if memory_limit is not None:
        limits.append((memory_limit, "memory_limit"))
    memory_bytes, source = min(limits)
    return Resources(cores(), max(memory_bytes, 0), source)


def _physical_bytes() -> int:
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    import psutil  # a dependency on Windows, which has no sysconf

    return int(psutil.virtual_memory().total)


def cgroup_limits(
    membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/")
) -> list[tuple[Path, int]]:
    """Return the memory limits that hold for this process: (file, bytes), of v1 and v2.

    A limit of a group holds for the groups in it, so all on the way up are looked at. In a
    container that shows its own group as the root, the way is short.

    Args:
        membership: the groups of the process, as Linux shows them.
        root: what the files' paths are relative to.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    limits = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        for controller, mount, name in _CGROUPS:
            if controller not in controllers.split(","):
                continue
            inside = PurePosixPath(group.lstrip("/"))
            for part in (inside, *inside.parents) if group != "/" else (inside,):
                path = mount / part / name
                try:
                    text = (root / path.relative_to("/")).read_text().strip()
                except OSError:
                    continue
                if text.isdigit() and int(text) < 2**60:
                    limits.append((path, int(text)))
    return limits


def peak_bytes() -> int:
    """Return the most memory that this process has held, in bytes.

    Linux's own count of resources would do, but a process inherits it from the one it was started
    by; that of the address space begins with the program.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    except (OSError, ValueError, StopIteration):
        pass
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
