"""Who runs the network of a TRANSFER: decided once, from what is here, before anything is asked.

The choice is a part of what features are (their last bits are the engine's), so that it is written
into every spec and a worker need not choose again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from vista_sql.kernels import Engine
from vista_sql.roster import Cnn
from vista_sql.settings import Value

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Engines:
    """Who can run networks where the host runs; it says so itself."""

    installed: frozenset[Engine] = frozenset()
    has_gpu: bool = False  # that TensorFlow can use
    has_bfloat16: bool = False  # the CPU multiplies in it


NO_ENGINES = Engines()
"""Of a host that does not say."""


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Who runs a network, and why."""

    name: Engine
    why: str


UNASKED = EngineChoice("tensorflow", "the reference")
"""Of a workload for which nobody chose: its network does not run."""


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
    return EngineChoice("openvino", "it is installed, and runs networks on a CPU")
