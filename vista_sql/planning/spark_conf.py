"""The paper's memory regions, cores and partitions → settings of Spark.

A node has one executor. mem_user and mem_storage are its heap, told apart by spark.memory.fraction;
mem_core, which queries and joins work in, is off the heap; mem_dl, in which the Python workers hold
the network, is the overhead. What the paper leaves to the system is nobody's.
"""

from __future__ import annotations

from math import ceil

from vista_sql.planning.paper import Apportioned

MIB = 2**20

RESERVED_BYTES = 300 * MIB
"""Of a heap: Spark's own, before spark.memory.fraction counts."""


def settings(apportioned: Apportioned) -> dict[str, str]:
    """Return the settings that configure executors as Algorithm 1 decided.

    Args:
        apportioned: what it decided for a node.

    Returns:
        Setting → value; sizes in MiB, rounded up but for the storage's.

    Example: two cores and LeNet-5
        >>> from vista_sql import roster
        >>> from vista_sql.planning.paper import GB, Cluster, apportion
        >>> lenet5 = roster.load("lenet5")
        >>> cluster = Cluster(memory_bytes=16 * GB, cores=3, nodes=4)
        >>> found = apportion(cluster, lenet5, {"f6": lenet5.layer("f6")}, 1000, 10)
        >>> for name, value in settings(found).items():
        ...     print(name, value)
        spark.executor.instances 4
        spark.executor.cores 2
        spark.task.cpus 1
        spark.executor.memory 8648m
        spark.executor.memoryOverhead 1461m
        spark.memory.offHeap.enabled true
        spark.memory.offHeap.size 2289m
        spark.memory.fraction 0.92
        spark.sql.shuffle.partitions 8
        spark.sql.autoBroadcastJoinThreshold 100000000
        spark.python.worker.reuse true
    """
    constants = apportioned.constants
    user = max(ceil(apportioned.user_bytes / MIB), RESERVED_BYTES // MIB + 1)
    storage = apportioned.storage_bytes // MIB
    heap = user + storage
    fraction = storage / (heap - RESERVED_BYTES // MIB)
    return {
        "spark.executor.instances": str(apportioned.cluster.nodes),
        "spark.executor.cores": str(apportioned.cpu),
        "spark.task.cpus": "1",
        "spark.executor.memory": f"{heap}m",
        "spark.executor.memoryOverhead": f"{ceil(apportioned.dl_bytes / MIB)}m",
        "spark.memory.offHeap.enabled": "true",
        "spark.memory.offHeap.size": f"{ceil(constants.core_bytes / MIB)}m",
        "spark.memory.fraction": f"{min(fraction, 0.95):.2f}",
        "spark.sql.shuffle.partitions": str(apportioned.partitions),
        "spark.sql.autoBroadcastJoinThreshold": str(constants.broadcast_bytes),
        "spark.python.worker.reuse": "true",
    }


FLAGS = {
    "spark.executor.instances": "--num-executors",
    "spark.executor.cores": "--executor-cores",
    "spark.executor.memory": "--executor-memory",
}
"""Settings that `spark-submit` has flags of its own for."""


def flags(apportioned: Apportioned) -> tuple[str, ...]:
    """Return the settings as flags of `spark-submit`, one text each."""
    return tuple(
        f"{FLAGS[name]} {value}" if name in FLAGS else f"--conf {name}={value}"
        for name, value in settings(apportioned).items()
    )
