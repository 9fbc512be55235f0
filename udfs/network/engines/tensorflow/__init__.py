"""TensorFlow, on a CPU by oneDNN's fused operations or on a GPU; what is imported by running it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from vista_sql.machine.resources import package_version

from ...engine import Dtype, Engine, Part

if TYPE_CHECKING:
    from vista_sql.roster import Cnn

    from ...graph import Graph
    from .runner import TensorFlowRunner

DISTRIBUTIONS = ("tensorflow-cpu", "tensorflow")
SWITCHES = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables of the environment that decide which kernels compute."""


@cache
def identity() -> str:
    """Return the installed distribution with its version, and the switches that are set."""
    versions = (f"{name} {version}" for name in DISTRIBUTIONS if (version := package_version(name)))
    switches = (f"{name}={os.environ[name]}" for name in SWITCHES if name in os.environ)
    return ", ".join([next(versions, "no tensorflow"), *switches])


def open_network(
    cnn: Cnn,
    identity: str,
    read: Callable[[], Graph],
    dtype: Dtype,
    device: str,
    threads: int | None,
) -> TensorFlowRunner:
    """Load a network in TensorFlow's thread; TensorFlow is imported by the first one.

    Raises:
        SettingError: there is no such device.
        PlanError: the weights do not fit the GPU's memory.
        HostError: TensorFlow is not installed.
    """
    from .process import load, on_thread
    from .runner import TensorFlowRunner

    del identity  # nothing is kept of it
    on_thread(load, threads)
    return on_thread(TensorFlowRunner, cnn, read, dtype, device)


def needs_keras(cnn: Cnn, data: Callable[[], Graph]) -> bool:
    """Return whether a step of a network is a Keras layer's to compute."""
    from .native import needs_keras

    return needs_keras(cnn, data)


def parts(cnn: Cnn, graph: Graph, layer: str) -> list[Part]:
    """Return the functions that compute a layer as one: it is the same however it is cut."""
    from ...steps import Dense
    from .batch_lengths import block_rows

    del cnn
    groups = map(graph.group_of, graph.order([layer], None))
    has_product = any(group is not None and isinstance(group.operation, Dense) for group in groups)
    note = f"products of {block_rows(graph)} rows" if has_product else ""
    return [Part(None, (layer,), note)]


ENGINE = Engine(
    "tensorflow",
    identity,
    open_network,
    parts,
    packages=DISTRIBUTIONS,
    has_gpu=True,
    needs_keras=needs_keras,
)
