"""How a plan is spread over a cluster: the paper's figures hold through what Spark is told."""

from __future__ import annotations

import pytest
import workloads
from msgspec.structs import replace

from vista_sql import roster
from vista_sql.errors import PlanError
from vista_sql.machine.resources import Resources
from vista_sql.planning import distribution, optimizer, paper, spark_conf
from vista_sql.planning.candidates import Machine
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.executors import Executors
from vista_sql.planning.workload import Facts, Relation
from vista_sql.settings import Value
from vista_sql.sql.dialect import SPARK

LAYERS = {
    "alexnet": ("conv5", "fc6", "fc7", "fc8"),
    "vgg16": ("fc6", "fc7", "fc8"),
    "resnet50": ("conv4_6", "conv5_1", "conv5_2", "conv5_3", "avg_pool"),
}
FOODS, AMAZON = (20_129, 130), (200_000, 200)
ABLE = Capabilities(dialect=SPARK, small_batches=True, calls_in_sql=False)
FOUR = Executors(
    master="yarn",
    number=8,
    cores=4,
    task_cores=1,
    heap_bytes=20 << 30,
    python_bytes=10 << 30,
    has_profiles=True,
)
LOCAL = replace(FOUR, master="local[4]", number=1, has_profiles=False)


def foods(cnn, data=FOODS, **fields):
    rows, columns = data
    structured = Relation("foods", {f"c{i}": "FLOAT" for i in range(columns)} | {"id": "INTEGER"})
    facts = Facts(rows=rows, images=rows, distinct_images=rows, image_bytes=14e3, image_rows=rows)
    return workloads.work(cnn, LAYERS[cnn], structured=structured, facts=facts, **fields)


def spread(work, executors=FOUR, **hints):
    given = workloads.hints(**hints)
    running = executors.running(given.cpu, given.plan)
    task = running.task(Resources(2, 2**40, "the machine"))
    return optimizer.choose(work, Machine(task, ABLE, given, executors=running)).distribution


@pytest.mark.parametrize(
    ("cnn", "partitions"), [("alexnet", 160), ("vgg16", 160), ("resnet50", 224)]
)
def test_partitions_are_the_papers_under_its_policy(cnn, partitions):
    """Section 5.3: np with 8 nodes and cpu = 4, p_max 100 MB."""
    roomy = replace(FOUR, python_bytes=80 << 30)
    assert spread(foods(cnn), roomy, plan="vista").partitions == partitions


@pytest.mark.parametrize(("data", "join"), [(FOODS, "broadcast"), (AMAZON, "shuffle")])
def test_the_join_is_the_papers(data, join):
    assert spread(foods("resnet50", data)).join == join


@pytest.mark.parametrize(("cnn", "cpu"), [("alexnet", 7), ("vgg16", 4), ("resnet50", 7)])
def test_spark_is_configured_as_the_optimizer_decides(cnn, cpu):
    """32 GB, 8 cores: the settings, read again as executors, make it decide the same."""
    network = roster.load(cnn)
    layers = {name: network.layer(name) for name in LAYERS[cnn]}
    decided = paper.apportion(paper.Cluster(), network, layers, *FOODS)
    told = spark_conf.settings(decided)
    assert told["spark.executor.cores"] == str(cpu) == str(decided.cpu)
    assert told["spark.sql.shuffle.partitions"] == str(decided.partitions)
    names = ("executor.memory", "executor.memoryOverhead", "memory.offHeap.size")
    heap, beside, off_heap = (int(told[f"spark.{name}"].removesuffix("m")) << 20 for name in names)
    node = heap + beside + off_heap + paper.PAPER.os_reserve_bytes
    assert node == pytest.approx(paper.Cluster().memory_bytes, abs=4 << 20)
    executors = replace(FOUR, cores=cpu, heap_bytes=heap + off_heap, python_bytes=beside)
    again = distribution.apportioned(foods(cnn), executors)
    assert (again.cpu, again.partitions, again.join, again.persistence) == (
        decided.cpu,
        decided.partitions,
        decided.join,
        decided.persistence,
    )
    assert again.storage_bytes == pytest.approx(decided.storage_bytes, rel=1e-3)
    assert float(told["spark.memory.fraction"]) == pytest.approx(
        decided.storage_bytes / (heap - spark_conf.RESERVED_BYTES), abs=0.02
    )


def test_each_decision_is_a_hint():
    found = spread(foods("resnet50"), join="shuffle", np=11, pers="disk", cpu=2)
    assert (found.join, found.partitions, found.persistence) == ("shuffle", 11, "disk")
    assert (found.executors.tasks, found.task_cores, found.needs_profile) == (2, 2, True)
    given = {decision.what: decision.why for decision in found.decisions}
    for name in ("join", "np", "pers", "cpu"):
        assert given[name] == f"as given: {name} => …"


def test_one_worker_has_all_cores_where_a_stage_may_say_so():
    assert spread(foods("resnet50")).task_cores == 4
    local = spread(foods("resnet50"), LOCAL)
    assert (local.executors.tasks, local.task_cores, local.needs_profile) == (4, 1, False)
    whole = replace(LOCAL, task_cores=4)
    assert spread(foods("resnet50"), whole, cpu=1).task_cores == 4


def test_there_are_no_more_partitions_than_rows():
    few = replace(foods("resnet50"), facts=Facts(rows=3, images=3, image_bytes=14e3))
    assert spread(few).partitions == 3
    uncounted = replace(foods("resnet50"), facts=Facts())
    assert spread(uncounted).partitions is None


@pytest.mark.parametrize(
    ("executors", "hints", "sentence"),
    [
        (LOCAL, {"cpu": 2}, "start Spark with --conf spark.task.cpus=2"),
        (FOUR, {"cpu": 5}, "an executor has 4 cores: give cpu => 4"),
    ],
)
def test_tasks_that_cannot_be_are_refused(executors, hints, sentence):
    with pytest.raises(PlanError, match=sentence):
        spread(foods("resnet50"), executors, **hints)


def test_structured_rows_that_are_kept_are_not_sent_everywhere():
    work = foods("resnet50", join_type="left")
    assert spread(work).join == "shuffle"
    with pytest.raises(PlanError, match="leave join out"):
        spread(work, join="broadcast")


def test_a_limit_holds_for_each_task():
    running = FOUR.running(Value("cpu", 2, "cpu => …"), Value("plan", None, "default"))
    assert running.task(Resources(8, 2**40, "the machine")).memory_bytes == 5 << 30
    limited = running.task(Resources(8, 1 << 30, "memory_limit, memory_limit => …"))
    assert limited.memory_bytes == 1 << 30
    assert "memory_limit" in limited.memory_source
