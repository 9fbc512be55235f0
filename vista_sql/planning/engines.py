"""Who runs the network of a TRANSFER: decided once, from what is here, before anything is asked.

The choice is a part of what features are (their last bits are the engine's), so that it is written
into every spec and a worker need not choose again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import get_args

from vista_sql import catalog, kernels
from vista_sql.kernels import Engine
from vista_sql.machine.resources import package_version, processor
from vista_sql.roster import Cnn
from vista_sql.settings import Value
from vista_sql.store import device_class

AUTO = "auto"

BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Instructions that multiply in bfloat16, as Linux names them; the last is ARM's."""


@dataclass(frozen=True, slots=True)
class Engines:
    """Who can run networks."""

    installed: frozenset[Engine]
    has_gpu: bool = False  # that TensorFlow can use
    has_bfloat16: bool = False  # the CPU multiplies in it


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Who runs a network, and why."""

    name: Engine
    why: str


UNASKED = EngineChoice("tensorflow", "the reference")
"""Of a workload for which nobody chose: its network does not run."""


@cache
def here() -> Engines:
    """Return who can run networks in this process: imports none of them."""
    installed = frozenset(name for name in get_args(Engine) if is_installed(name))
    found = processor()
    return Engines(
        installed,
        has_gpu="tensorflow" in installed and device_class("auto").startswith("gpu"),
        has_bfloat16=found is not None and not BFLOAT16.isdisjoint(found.instructions.split()),
    )


def is_installed(name: Engine) -> bool:
    """Return whether a distribution is installed that an engine can run by."""
    entry = catalog.module(kernels.PACKAGE, f"network.engines.{name}").ENGINE
    return any(package_version(package) is not None for package in entry.packages)


def choose(asked: Value, known: Engines, cnn: Cnn, *, device: str, dtype: str) -> EngineChoice:
    """Return who runs a CNN.

    Args:
        asked: the setting `engine`.
        known: who can run networks.
        cnn: the CNN.
        device: 'auto', 'cpu' or 'gpu'.
        dtype: of the arithmetic, 'float32' or 'bfloat16'.

    Example:
        >>> from vista_sql import roster
        >>> both = Engines(frozenset({"tensorflow", "openvino"}))
        >>> lenet5, auto = roster.load("lenet5"), Value("engine", AUTO, "default")
        >>> choose(auto, both, lenet5, device="auto", dtype="float32").name
        'openvino'
        >>> choose(auto, both, lenet5, device="gpu", dtype="float32")
        EngineChoice(name='tensorflow', why='it runs networks on a GPU')
    """
    for name in get_args(Engine):
        if asked.value == name:
            return EngineChoice(name, f"as given: {asked.source}")
    if "openvino" not in known.installed:
        return EngineChoice("tensorflow", "OpenVINO is not installed")
    if "tensorflow" in known.installed:
        if device == "gpu" or (device == "auto" and known.has_gpu):
            return EngineChoice("tensorflow", "it runs networks on a GPU")
        if cnn.name.lower().endswith(".keras"):
            return EngineChoice("tensorflow", "a .keras file may hold what only TensorFlow runs")
        if dtype == "bfloat16" and not known.has_bfloat16:
            return EngineChoice("tensorflow", "it imitates bfloat16 where the CPU has none")
    return EngineChoice("openvino", "it is installed, and the quicker one on a CPU")
