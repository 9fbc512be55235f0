"""Who runs the network of a TRANSFER: decided once, from what is here, before anything is asked.

The choice is a part of what features are (their last bits are the engine's), so that it is written
into every spec and a worker need not choose again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from vista_sql.kernels import Engine
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


def choose(asked: Value, known: Engines) -> EngineChoice:
    """Return who runs networks: TensorFlow where it is, unless another is asked for.

    Args:
        asked: the setting `engine`.
        known: who can run networks.

    Example:
        >>> both = Engines(frozenset({"tensorflow", "openvino"}))
        >>> auto = Value("engine", AUTO, "default")
        >>> choose(auto, both).name
        'tensorflow'
        >>> choose(auto, Engines(frozenset({"openvino"}))).name
        'openvino'
    """
    for name in get_args(Engine):
        if asked.value == name:
            return EngineChoice(name, f"as given: {asked.source}")
    if "tensorflow" in known.installed or "openvino" not in known.installed:
        return EngineChoice("tensorflow", "the reference")
    return EngineChoice("openvino", "TensorFlow is not installed")
