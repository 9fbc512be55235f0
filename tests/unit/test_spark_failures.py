"""What is told of jobs that end because executors lack memory."""

from __future__ import annotations

import pytest

pytest.importorskip("pyspark")

from pyspark.sql import DataFrame

from vista_sql.errors import HostError, QueryError
from vista_sql.hosts.spark import failures, worker
from vista_sql.planning.executors import Executors

YARN = Executors(
    master="yarn",
    number=2,
    cores=4,
    task_cores=1,
    heap_bytes=1 << 30,
    python_bytes=2 << 30,
    has_profiles=True,
    tasks=4,
)
LOCAL = Executors(
    master="local[4]",
    number=1,
    cores=4,
    task_cores=1,
    heap_bytes=1 << 30,
    python_bytes=2 << 30,
    has_profiles=False,
    tasks=4,
)
DIED = "Lost task 0.3 in stage 3.0: SparkException: Python worker exited unexpectedly (crashed)."


def test_a_worker_that_died_is_told_with_what_to_change():
    assert failures.sentence_of(DIED, YARN) == (
        "a Python worker of Spark was killed, as systems do where memory ends, again when it was "
        "tried again; workers have 2.0 GiB beside the heap of their executor, for 4 tasks at once: "
        "give fewer workers at once (cpu => 1), fewer rows in a call (batch_rows => 8), or more "
        "spark.executor.memoryOverhead and, where it is set, spark.executor.pyspark.memory; "
        "`vista spark-conf` computes them"
    )
    assert "Spark started with --conf spark.task.cpus=4" in failures.sentence_of(DIED, LOCAL)


BEGINNING = """An error occurred while calling o249.getResult.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 4 in stage 44.0 failed 4 \
times, most recent failure: Lost task 4.3 in stage 44.0 (TID 54): java.io.EOFException
\tat java.base/java.io.DataInputStream.readInt(DataInputStream.java:386)
\tat org.apache.spark.security.SocketAuthHelper.readUtf8(SocketAuthHelper.scala:116)
\tat org.apache.spark.security.SocketAuthHelper.authToServer(SocketAuthHelper.scala:101)
\tat org.apache.spark.api.python.PythonWorkerFactory.createWorker$1(PythonWorkerFactory.scala:220)
"""
"""What Spark 4.3 says of a worker that was killed while it began."""


def test_a_worker_that_died_while_it_began_is_told_as_one_that_did_later():
    assert failures.sentence_of(BEGINNING, YARN) == failures.sentence_of(DIED, YARN)
    elsewhere = BEGINNING.replace("PythonWorkerFactory", "ParquetReader")
    assert failures.sentence_of(elsewhere, YARN) is None


@pytest.mark.parametrize(
    "said",
    [
        "ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Reason: "
        "Container killed by YARN for exceeding physical memory limits.",
        "ExecutorLostFailure (executor 2 exited): The executor with id 2 exited with exit code 137",
    ],
)
def test_an_executor_that_was_killed_for_memory_is_told(said):
    assert failures.sentence_of(said, YARN).startswith("an executor of Spark was killed for its")


@pytest.mark.parametrize(
    "said", ["ExecutorLostFailure: worker decommissioned", "[DIVIDE_BY_ZERO] Division by zero."]
)
def test_other_errors_stay_sparks(said):
    assert failures.sentence_of(said, YARN) is None
    with pytest.raises(ValueError, match=said[:10].replace("[", r"\[")), failures.told(YARN):
        raise ValueError(said)


def test_what_is_ours_already_goes_through():
    with pytest.raises(QueryError, match="mine"), failures.told(YARN):
        raise QueryError("mine")


@pytest.mark.parametrize("error", [MemoryError("x"), RuntimeError("std::bad_alloc")])
def test_a_stage_that_finds_no_memory_says_so(error):
    with pytest.raises(worker.OutOfMemory) as told, worker._enough_memory("8 rows in a call"):
        raise error
    said = f"PythonException: …\nvista_sql.hosts.spark.worker.OutOfMemory: {told.value}\n at java"
    sentence = failures.sentence_of(said, YARN)
    assert sentence.startswith("a Python worker of Spark ran out of its memory")
    assert "8 rows in a call: give fewer workers at once (cpu => 1)" in sentence
    assert "\n" not in sentence


def test_other_errors_of_a_stage_stay_theirs():
    with pytest.raises(KeyError), worker._enough_memory(""):
        raise KeyError("f6")


class Frame(DataFrame):
    """A DataFrame of a session whose workers are killed."""

    def __new__(cls):
        return object.__new__(cls)

    def collect(self):
        raise RuntimeError(DIED)

    def writer(self):
        return Writer()

    write = property(writer)


class Writer:
    def mode(self, name):
        return self

    def parquet(self, path):
        raise RuntimeError(DIED)


def test_actions_of_a_frame_and_of_its_writer_tell():
    frame = failures.telling(Frame(), YARN)
    assert isinstance(frame, DataFrame)
    with pytest.raises(HostError, match="a Python worker of Spark was killed"):
        frame.collect()
    with pytest.raises(HostError, match="a Python worker of Spark was killed"):
        frame.write.mode("overwrite").parquet("x")
