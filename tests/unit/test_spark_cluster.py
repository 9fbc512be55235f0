"""What a Spark session says of its executors, and what they lack, in one sentence each."""

from __future__ import annotations

import platform
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("pyspark")

from pyspark.errors import PySparkException

from vista_sql.errors import HostError
from vista_sql.hosts.spark import cluster, database, opening, stages
from vista_sql.machine.resources import own_version
from vista_sql.planning.engines import Engines

GIB = 1 << 30
WORKER = cluster._Worker(8, 30 * GIB, Engines(frozenset({"openvino"})))


def executors(**conf):
    settings = {f"spark.{name.replace('__', '.')}": value for name, value in conf.items()}
    spark = SimpleNamespace(conf=SimpleNamespace(get=settings.get))
    return cluster._executors(spark, WORKER)


def test_a_local_session_is_one_executor_of_its_threads():
    found = executors(master="local[4]", task__cpus="2", driver__memory="2g")
    assert (found.number, found.cores, found.configured) == (1, 4, 2)
    assert (found.heap_bytes, found.python_bytes) == (2 * GIB, 28 * GIB)
    assert not found.has_profiles
    assert executors(master="local[*]").cores == 8


def test_a_cluster_is_as_it_was_configured():
    found = executors(
        master="yarn",
        executor__instances="5",
        executor__cores="7",
        executor__memory="18692m",
        executor__memoryOverhead="6676",
        memory__offHeap__enabled="true",
        memory__offHeap__size="2289m",
    )
    assert (found.number, found.cores, found.has_profiles) == (5, 7, True)
    assert found.heap_bytes == (18692 + 2289) << 20
    assert found.python_bytes == 6676 << 20
    least = executors(master="yarn", executor__memory="1g")
    assert least.python_bytes == 384 << 20, "Spark's own overhead"


def test_a_small_cluster_of_this_machine_shares_it():
    found = executors(master="local-cluster[2,3,1024]", executor__memory="1g")
    assert (found.number, found.cores) == (2, 3)
    assert found.python_bytes == 14 * GIB


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("…\nModuleNotFoundError: No module named 'pyarrow'", "cannot import 'pyarrow': let"),
        (
            "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.9 than that in "
            "driver: 3.11, PySpark cannot run",
            f"the executors run Python 3.9 and this is Python {platform.python_version()}",
        ),
        ("line\nno space left", "no Python worker of Spark starts: no space left"),
    ],
)
def test_workers_that_cannot_run_are_told_of(said, sentence):
    error = cluster._unfit(said)
    assert sentence in str(error)


def session(**row):
    """A session whose worker says `row`."""
    told = dict.fromkeys(part.split()[0] for part in cluster.REPORT.split(", ")) | row
    frame = SimpleNamespace(collect=lambda: [SimpleNamespace(**told)])
    frame.coalesce = lambda n: frame
    frame.mapInArrow = lambda function, schema: frame
    return SimpleNamespace(range=lambda n: frame)


def test_a_worker_without_the_package_says_what_to_install_where():
    with pytest.raises(
        HostError, match=r"install vista-sql .* \(/usr/bin/python3\), or let PYSPARK"
    ):
        cluster._worker(session(missing="vista_sql", python="/usr/bin/python3"))
    other = session(version="0.0.1", python="/usr/bin/python3")
    with pytest.raises(HostError, match=r"the executors have vista-sql 0\.0\.1, and"):
        cluster._worker(other)
    fine = session(version=own_version(), engines="openvino", cores=3, memory_bytes=5)
    assert cluster._worker(fine).engines.installed == {"openvino"}


def test_a_stage_says_what_its_worker_lacks(monkeypatch):
    run = stages.sent(None, "apply", "infer_f6", "1.2")
    assert run.__name__ == "infer_f6"
    monkeypatch.setitem(sys.modules, "vista_sql.hosts.spark.worker", None)
    monkeypatch.delattr("vista_sql.hosts.spark.worker", raising=False)
    with pytest.raises(RuntimeError, match=r"cannot import .*: install vista-sql 1.2"):
        list(run([]))


def test_java_that_is_not_there_is_told_of(monkeypatch):
    monkeypatch.setattr(opening, "_has_java", lambda: False)
    error = PySparkException(errorClass="JAVA_GATEWAY_EXITED", messageParameters={})
    assert "install it (on Debian, openjdk-17" in str(opening._unopened("local", error))
    monkeypatch.setattr(opening, "_has_java", lambda: True)
    assert "on 'yarm', which must be a master" in str(opening._unopened("yarm", error))
    other = PySparkException("java.lang.X\norg.apache.spark.SparkException: no such master")
    assert str(opening._unopened("yarm", other)) == (
        "Spark does not start on 'yarm': no such master"
    )


def test_what_spark_says_is_cut_to_a_sentence():
    error = PySparkException("[SOME.THING] A name is wrong. SQLSTATE: 42703; line 1 pos 7;\n'Plan")
    assert database.said(error) == "A name is wrong."
    cause = "Caused by: c.D: [CAST] 'a' is no INT. SQLSTATE: 2"
    text = f"An error occurred.\n: x.Y: wait\n\tat a.b\n{cause}"
    assert database.said(RuntimeError(text)) == "'a' is no INT."
