"""Jobs that end because executors lack memory: Spark says who died, this what to change.

A DataFrame that `query` returned runs when one of its actions is called. Its actions, and those of
its writers, are Spark's; where Spark says that a Python worker or an executor was killed, they
raise one sentence of ours, with Spark's error behind it. What is derived from it (`.filter(…)`) has
Spark's own actions, and Spark's words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from pyspark.sql import DataFrame

from vista_sql.errors import HostError, VistaError
from vista_sql.planning.executors import Executors
from vista_sql.units import format_bytes

WORKER_DIED = re.compile(
    r"Python worker (?:exited unexpectedly|failed to connect back)|pyspark[.]daemon failed"
    # one that is gone before it has said who it is
    r"|java[.](?:io|net|nio)[.][\w.]*Exception[^\n]*(?:\n\s+at [^\n]*){1,8}PythonWorkerFactory"
)
"""What Spark says when a Python worker is no more, whatever killed it."""

EXECUTOR_DIED = re.compile(
    r"ExecutorLostFailure.{0,400}?(?:exceeding (?:physical )?memory|OOMKilled|memory limits"
    r"|exit(?:ed with)? code:? ?(?:137|52)|exit status:? ?(?:137|52))",
    re.IGNORECASE | re.DOTALL,
)
"""An executor that was killed for its memory (137: SIGKILL; 52: Java's own end without memory)."""

OUT_OF_MEMORY = re.compile(r"OutOfMemory: (.+?)(?= SQLSTATE|$)", re.MULTILINE)
"""What a stage says that found no memory itself; `worker.OutOfMemory`."""

FRAME = (
    *("collect", "count", "first", "foreach", "foreachPartition", "head", "isEmpty", "show"),
    *("tail", "take", "toArrow", "toLocalIterator", "toPandas"),
)
WRITER = ("csv", "insertInto", "jdbc", "json", "orc", "parquet", "save", "saveAsTable", "text")
WRITER_V2 = ("append", "create", "createOrReplace", "overwrite", "overwritePartitions", "replace")
"""The actions of DataFrames and their writers, in Spark's words."""


def telling(frame: DataFrame, executors: Executors) -> DataFrame:
    """Return the same DataFrame, whose actions raise HostError where workers lack memory.

    Args:
        frame: of a statement that infers.
        executors: that it runs on, with the tasks at once decided.
    """
    return _telling(frame, FRAME, executors)


@contextmanager
def told(executors: Executors) -> Iterator[None]:
    """Raise what is ours to say of an error of Spark's; any other goes through as it is.

    Raises:
        HostError: a worker or an executor was killed; says what to change.
    """
    try:
        yield
    except VistaError:
        raise
    except Exception as error:  # Spark's, or Java's as the bridge to it wraps it
        sentence = sentence_of(str(error), executors)
        if sentence is None:
            raise
        raise HostError(sentence) from error


def sentence_of(said: str, executors: Executors) -> str | None:
    """Return one sentence about a job that ended for memory; None: it did not.

    Args:
        said: all that Spark says.
        executors: that it ran on.
    """
    found = OUT_OF_MEMORY.search(said)
    if found is not None:
        return f"{found[1].strip().rstrip('.')}: {changes(executors)}"
    if WORKER_DIED.search(said):
        who = "a Python worker of Spark was killed, as systems do where memory ends"
    elif EXECUTOR_DIED.search(said):
        who = "an executor of Spark was killed for its memory"
    else:
        return None
    tasks = max(1, executors.tasks)
    has = (
        f"workers have {format_bytes(executors.python_bytes)} beside the heap of their executor, "
        f"for {tasks} task{'' if tasks == 1 else 's'} at once"
    )
    return f"{who}, again when it was tried again; {has}: {changes(executors)}"


def changes(executors: Executors) -> str:
    """Return what to change where memory ends, the cheapest first."""
    fewer = "fewer rows in a call (batch_rows => 8)"
    if executors.tasks > 1:
        one = "cpu => 1"
        if not executors.has_profiles:
            one = f"Spark started with --conf spark.task.cpus={executors.cores}"
        fewer = f"fewer workers at once ({one}), {fewer}"
    if executors.master.startswith("local["):
        return f"give {fewer}, or memory to this machine"
    return (
        f"give {fewer}, or more spark.executor.memoryOverhead and, where it is set, "
        "spark.executor.pyspark.memory; `vista spark-conf` computes them"
    )


def _telling(thing: Any, actions: tuple[str, ...], executors: Executors) -> Any:
    kind: Any = type(thing)
    thing.__class__ = _kind(kind, actions)
    thing.vista_executors = executors
    return thing


@cache
def _kind(kind: Any, actions: tuple[str, ...]) -> type:
    """Return a kind of Spark's objects whose actions tell."""

    def action(name: str) -> Any:
        spark = getattr(kind, name)

        def run(self: Any, *args: Any, **named: Any) -> Any:
            with told(self.vista_executors):
                return spark(self, *args, **named)

        run.__name__, run.__doc__ = name, spark.__doc__
        return run

    def write(self: Any) -> Any:
        return _telling(kind.write.fget(self), WRITER, self.vista_executors)

    def write_to(self: Any, table: str) -> Any:
        return _telling(kind.writeTo(self, table), WRITER_V2, self.vista_executors)

    members: dict[str, Any] = {name: action(name) for name in actions if hasattr(kind, name)}
    if issubclass(kind, DataFrame):
        members |= {"write": property(write), "writeTo": write_to}
    return type(kind.__name__, (kind,), members)
