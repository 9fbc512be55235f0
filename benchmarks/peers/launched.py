"""Run one process and everything it starts, and measure it: `python launched.py SPECIFICATION`.

The specification is JSON: `argv`, `cwd`, `environment`, `timeout_seconds`, `limit_bytes` and
`kill_after_seconds` (either may be null). What orphans the process leaves come back to this one,
which ends them, so that their time counts too. Printed is a `Taken` as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
INTERVAL_SECONDS = 0.1
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
SAID_BYTES = 4000


@dataclass(frozen=True)
class Taken:
    """What one process and its descendants took.

    `peak_bytes` is the most seen at once, ten times a second: the sum of what each has for itself,
    and the largest shared part; or the largest single process as the kernel counted it, if that is
    more. `outcome` is 'finished', 'failed', 'out of memory', 'out of time' or 'killed'.
    """

    outcome: str
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    said: str


def launch(
    argv: list[str],
    cwd: Path,
    environment: dict[str, str],
    *,
    timeout_seconds: float,
    limit_bytes: int | None = None,
    kill_after_seconds: float | None = None,
) -> Taken:
    """Run a command in a measuring process of its own, to its end or to its kill -9."""
    specification = {
        "argv": argv,
        "cwd": str(cwd),
        "environment": environment,
        "timeout_seconds": timeout_seconds,
        "limit_bytes": limit_bytes,
        "kill_after_seconds": kill_after_seconds,
    }
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(specification)],
        capture_output=True,
        text=True,
        check=True,
    )
    return Taken(**json.loads(done.stdout))


def descendants(root: int) -> list[int]:
    """Return the processes below `root`, of all depths."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it ended meanwhile
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found, level = [], {root}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found += level
    return found


def held_bytes(processes: list[int]) -> int:
    """Return what the processes hold: each its own, and the largest shared part once."""
    own, shared = 0, 0
    for process in processes:
        try:
            resident, common = Path(f"/proc/{process}/statm").read_text().split()[1:3]
        except (OSError, ValueError):
            continue
        own += int(resident) - int(common)
        shared = max(shared, int(common))
    return (own + shared) * PAGE


def memory_group(limit_bytes: int) -> Path | None:
    """Make a memory control group of version 1 in this process's own; None where it cannot be."""
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, own = line.split(":", 2)
            if "memory" in controllers.split(","):
                path = Path(f"/sys/fs/cgroup/memory{own}/vista-peers-{os.getpid()}")
                path.mkdir()
                (path / "memory.limit_in_bytes").write_text(str(limit_bytes))
                return path
    except OSError:
        return None
    return None


def end_all(me: int) -> None:
    """End what is left, first politely: a database server closes its files."""
    for kind, patience_seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        until = time.monotonic() + patience_seconds
        for process in descendants(me):
            try:
                os.kill(process, kind)
            except ProcessLookupError:
                continue
        while time.monotonic() < until:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.02)
            except ChildProcessError:
                return


def measured(given: dict) -> Taken:
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    limit = given["limit_bytes"]
    group = memory_group(limit) if limit else None

    def enter() -> None:
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    said = Path(given["cwd"]) / "said.txt"
    outcome, peak, me = "finished", 0, os.getpid()
    deadlines = {"out of time": given["timeout_seconds"], "killed": given["kill_after_seconds"]}
    with said.open("w") as channel:
        begun = time.perf_counter()
        process = subprocess.Popen(
            given["argv"],
            cwd=given["cwd"],
            env=given["environment"],
            stdin=subprocess.DEVNULL,
            stdout=channel,
            stderr=channel,
            preexec_fn=enter,
        )
        while process.poll() is None:
            held = held_bytes(descendants(me))
            peak = max(peak, held)
            elapsed = time.perf_counter() - begun
            over = [why for why, after in deadlines.items() if after and elapsed > after]
            if limit and group is None and held > limit:
                over = ["out of memory"]
            if over:
                outcome = over[0]
                process.kill()
                process.wait()
                break
            try:
                process.wait(INTERVAL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        wall = time.perf_counter() - begun
    end_all(me)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    if outcome == "finished" and process.returncode:
        outcome = "failed"
    if group is not None:
        counted = (group / "memory.oom_control").read_text().split()
        if "oom_kill" in counted and int(counted[counted.index("oom_kill") + 1]):
            outcome = "out of memory" if outcome != "finished" else outcome
        group.rmdir()
    return Taken(
        outcome,
        wall,
        usage.ru_utime + usage.ru_stime,
        max(peak, 1024 * usage.ru_maxrss),
        said.read_text(errors="replace")[-SAID_BYTES:],
    )


if __name__ == "__main__":
    print(json.dumps(asdict(measured(json.loads(sys.argv[1])))))
