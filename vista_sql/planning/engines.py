"""Who runs the network of a TRANSFER: decided once, from what is here, before anything is asked.

The choice is a part of what features are (their last bits are the engine's), so that it is written
into every spec and a worker need not choose again.
"""

from __future__ import annotations

from typing import get_args

from msgspec import Struct

from vista_sql.errors import PlanError
from vista_sql.kernels import Engine
from vista_sql.settings import Value

AUTO = "auto"

NO_BFLOAT16 = "this CPU has no bfloat16, which OpenVINO needs"


class Engines(Struct, frozen=True):
    """Who can run networks where the host runs; it says so itself."""

    installed: frozenset[Engine] = frozenset()
    has_gpu: bool = False  # that TensorFlow can use
    has_bfloat16: bool = False  # the CPU multiplies in it


NO_ENGINES = Engines()
"""Of a host that does not say."""


class EngineChoice(Struct, frozen=True):
    """Who runs a network, and why."""

    name: Engine
    why: str


UNASKED = EngineChoice("tensorflow", "the reference")
"""Of a workload for which nobody chose: its network does not run."""


def choose(
    asked: Value,
    known: Engines,
    dtype: str = "float32",
    device: str = AUTO,
    only_tensorflow: str | None = None,
) -> EngineChoice:
    """Return who runs a network: who is asked for, else the fastest that is here and can.

    That is TensorFlow on a GPU, else OpenVINO, else TensorFlow.

    Args:
        asked: the setting `engine`.
        known: who can run networks.
        dtype: of the arithmetic.
        device: the setting: 'auto', 'cpu' or 'gpu'.
        only_tensorflow: what of the network no other engine can run.

    Raises:
        PlanError: who is asked for cannot run it.

    Example:
        >>> both = Engines(frozenset({"tensorflow", "openvino"}))
        >>> auto = Value("engine", AUTO, "default")
        >>> choose(auto, both).name
        'openvino'
        >>> choose(auto, both, device="gpu").name
        'tensorflow'
    """
    lacks_bfloat16 = dtype == "bfloat16" and not known.has_bfloat16
    for name in get_args(Engine):
        if asked.value == name:
            if only_tensorflow is not None and name != "tensorflow":
                raise PlanError(
                    f"engine {name!r} ({asked.source}) cannot run {only_tensorflow}: take engine "
                    "=> 'tensorflow'"
                )
            reason = f"as given: {asked.source}"
            if known.installed and name not in known.installed:
                reason += ", but it is not installed"
            elif name == "openvino" and lacks_bfloat16:
                reason += f", but {NO_BFLOAT16}"
            return EngineChoice(name, reason)
    if only_tensorflow is not None:
        return EngineChoice("tensorflow", f"no other engine runs {only_tensorflow}")
    if "openvino" not in known.installed:
        return EngineChoice("tensorflow", "OpenVINO is not installed")
    if "tensorflow" not in known.installed:
        without = f", but {NO_BFLOAT16}" if lacks_bfloat16 else ""
        return EngineChoice("openvino", f"TensorFlow is not installed{without}")
    if device.lower() == "gpu" or (known.has_gpu and device.lower() == AUTO):
        return EngineChoice("tensorflow", "OpenVINO is used on CPUs alone")
    if lacks_bfloat16:
        return EngineChoice("tensorflow", NO_BFLOAT16)
    return EngineChoice("openvino", "the faster one on a CPU")
