"""What a Spark session runs on: its settings, and one look at a Python worker of an executor."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from vista_sql.errors import HostError
from vista_sql.hosts.spark.stages import quiet
from vista_sql.machine.resources import own_version
from vista_sql.planning.engines import Engines
from vista_sql.planning.executors import Executors
from vista_sql.units import parse_bytes

NO_MASTER = "a server that names no master"
"""Sail, or one that hides what it runs on: taken as one machine, whose stages have no profiles."""

LEAST_OVERHEAD_BYTES, OVERHEAD_SHARE = 384 << 20, 0.1
"""Of an executor's memory beside its heap, where no setting says more (Spark's own defaults)."""


class Cluster(Struct, frozen=True):
    """The executors of a session, and who runs networks there."""

    executors: Executors
    engines: Engines


def look(spark: SparkSession) -> Cluster:
    """Return what a session runs on; one small task says what its Python workers have.

    Raises:
        HostError: a worker lacks this package, has another version of it, or another Python.
    """
    worker = _worker(spark)
    return Cluster(_executors(spark, worker), worker.engines)


class _Worker(Struct, frozen=True):
    cores: int
    memory_bytes: int
    engines: Engines


def _worker(spark: SparkSession) -> _Worker:
    """Ask one Python worker."""
    with quiet():
        one = spark.range(1).coalesce(1).mapInArrow(_report(), REPORT)
    try:
        (row,) = one.collect()
    except PySparkException as error:
        raise _unfit(str(error)) from error
    if row.missing is not None:
        raise HostError(
            f"a Python worker of Spark cannot import {row.missing!r}: install vista-sql "
            f"{own_version()} for the Python of every executor ({row.python}), or let "
            "PYSPARK_PYTHON name a Python that has it before the session starts"
        )
    if row.version != own_version():
        raise HostError(
            f"the executors have vista-sql {row.version}, and this is {own_version()}: install one "
            f"version on both ({row.python})"
        )
    installed = frozenset(row.engines.split())
    found = Engines(installed, has_gpu=row.has_gpu, has_bfloat16=row.has_bfloat16)
    return _Worker(row.cores, row.memory_bytes, found)


REPORT = (
    "missing string, python string, version string, engines string, has_gpu boolean, "
    "has_bfloat16 boolean, cores int, memory_bytes bigint"
)


def _report() -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Return what a worker runs to tell what it has; it travels by value."""

    def look_at_worker(batches: Iterable[Any]) -> Iterator[Any]:
        import sys

        import pyarrow as pa

        types = [
            ("missing", pa.string()),
            ("python", pa.string()),
            ("version", pa.string()),
            ("engines", pa.string()),
            ("has_gpu", pa.bool_()),
            ("has_bfloat16", pa.bool_()),
            ("cores", pa.int32()),
            ("memory_bytes", pa.int64()),
        ]
        row: dict[str, Any] = dict.fromkeys(name for name, _ in types)
        row["python"] = sys.executable
        for batch in batches:
            if not len(batch):
                continue
            try:
                from vista_sql.hosts import engines
                from vista_sql.hosts.spark import worker
                from vista_sql.machine import resources

                here, machine = engines.here(), resources.machine()
                del worker  # it is imported now, with what the kernels need
                row |= {
                    "version": resources.own_version(),
                    "engines": " ".join(sorted(here.installed)),
                    "has_gpu": here.has_gpu,
                    "has_bfloat16": here.has_bfloat16,
                    "cores": machine.cores,
                    "memory_bytes": machine.memory_bytes,
                }
            except ModuleNotFoundError as error:
                row["missing"] = error.name
            yield pa.RecordBatch.from_pylist([row], pa.schema(types))

    return look_at_worker


def _unfit(said: str) -> HostError:
    """Return the error about a worker that cannot run anything of Python's."""
    here = platform.python_version()
    versions = re.search(r"worker.{0,40}?(\d\.\d+).{0,80}?driver.{0,40}?(\d\.\d+)", said, re.DOTALL)
    if "PYTHON_VERSION_MISMATCH" in said or "different version" in said:
        there = versions[1] if versions else "another"
        return HostError(
            f"the executors run Python {there} and this is Python {here}: Spark needs the same "
            "minor version on both; let PYSPARK_PYTHON name one before the session starts"
        )
    missing = re.search(r"No module named '([\w.]+)'", said)
    if missing:
        return HostError(
            f"a Python worker of Spark cannot import {missing[1]!r}: let PYSPARK_PYTHON name a "
            f"Python {here.rpartition('.')[0]} that has vista-sql {own_version()} and pyspark "
            "before the session starts"
        )
    lines = [line for line in said.strip().splitlines() if line.strip()]
    return HostError(f"no Python worker of Spark starts: {lines[-1] if lines else 'no reason'}")


# ── the session's settings ──────────────────────────────────────────────────────────────────────


def _executors(spark: SparkSession, worker: _Worker) -> Executors:
    def conf(name: str, default: str) -> str:
        value = spark.conf.get(name, default)
        return default if value is None else str(value)

    master = conf("spark.master", NO_MASTER)
    task_cores = int(conf("spark.task.cpus", "1"))
    local = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\s*\d+)?\])?", master)
    if local or master == NO_MASTER:
        threads = (local[1] or "1") if local else "*"
        cores = worker.cores if threads == "*" else int(threads)
        heap = size(conf("spark.driver.memory", "1g"))
        return Executors(
            master=master,
            number=1,
            cores=cores,
            task_cores=task_cores,
            heap_bytes=heap,
            python_bytes=max(0, worker.memory_bytes - heap),
            has_profiles=False,
        )
    small = re.fullmatch(r"local-cluster\[(\d+),\s*(\d+),\s*(\d+)\]", master)
    number = int(small[1]) if small else int(conf("spark.executor.instances", "1"))
    cores = int(small[2]) if small else int(conf("spark.executor.cores", str(worker.cores)))
    heap = size(conf("spark.executor.memory", "1g"))
    off_heap = conf("spark.memory.offHeap.enabled", "false") == "true"
    heap += size(conf("spark.memory.offHeap.size", "0")) if off_heap else 0
    share = float(conf("spark.executor.memoryOverheadFactor", str(OVERHEAD_SHARE)))
    overhead = conf("spark.executor.memoryOverhead", "")
    beside = size(overhead) if overhead else max(LEAST_OVERHEAD_BYTES, int(share * heap))
    beside += size(conf("spark.executor.pyspark.memory", "0"))
    if not overhead and (small or master.startswith("spark://")):
        # nobody holds these to an overhead: what the machine has is there, for all on it
        beside = max(beside, worker.memory_bytes // (number if small else 1) - heap)
    return Executors(
        master=master,
        number=number,
        cores=cores,
        task_cores=task_cores,
        heap_bytes=heap,
        python_bytes=beside,
        has_profiles=True,
    )


def size(text: str) -> int:
    """Return a size of memory in Spark's notation in bytes; of a bare number, MiB.

    Example:
        >>> size("1g"), size("384"), size("2048m")
        (1073741824, 402653184, 2147483648)
    """
    found = re.fullmatch(r"\s*(\d+)\s*([a-z]*)\s*", text.lower())
    if found is None:
        return parse_bytes(text)
    number, unit = found.groups()
    powers = {"b": 0, "k": 1, "kb": 1, "m": 2, "mb": 2, "g": 3, "gb": 3, "t": 4, "tb": 4}
    return int(int(number) * 1024 ** powers[unit or "m"])
