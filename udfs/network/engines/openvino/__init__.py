"""OpenVINO, on a CPU; it reads the network as ONNX, and is imported by running it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from vista_sql.errors import SettingError
from vista_sql.machine.resources import package_version

from ...engine import Dtype, Engine
from .stops import parts

if TYPE_CHECKING:
    from vista_sql.roster import Cnn

    from ...engine import Runner
    from ...graph import Graph

SWITCHES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables of the environment that decide which kernels compute."""


@cache
def identity() -> str:
    """Return the installed version, and the switches that are set."""
    version = package_version("openvino")
    switches = (f"{name}={os.environ[name]}" for name in SWITCHES if name in os.environ)
    return ", ".join([f"openvino {version}" if version else "no openvino", *switches])


def open_network(
    cnn: Cnn,
    identity: str,
    read: Callable[[], Graph],
    dtype: Dtype,
    device: str,
    threads: int | None,
) -> Runner:
    """Load a network; OpenVINO is imported by the first one.

    Raises:
        SettingError: the device is no CPU, or the CPU has no bfloat16.
        PlanError: a step cannot be written in ONNX.
        HostError: OpenVINO is not installed.
    """
    from ...foreign.file import OnnxFile
    from .foreign import ForeignRunner
    from .runner import OpenVinoRunner

    if device.lower() not in ("auto", "cpu"):
        known = "a GPU needs engine => 'tensorflow'" if device.lower() == "gpu" else "it has 'cpu'"
        raise SettingError(f"device {device!r} cannot be used by engine 'openvino': {known}")
    graph = read()
    file = graph.steps[graph.input].origin
    if isinstance(file, OnnxFile):
        return ForeignRunner(cnn, identity, graph, file, dtype, threads)
    return OpenVinoRunner(cnn, identity, graph, dtype, threads)


def needs_keras(cnn: Cnn, data: Callable[[], Graph]) -> bool:
    """Return False: a network as data is enough."""
    del cnn, data
    return False


ENGINE = Engine(
    "openvino",
    identity,
    open_network,
    parts,
    packages=("openvino",),
    has_gpu=False,
    needs_keras=needs_keras,
)
