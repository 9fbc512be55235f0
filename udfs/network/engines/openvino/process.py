"""The only place that imports OpenVINO: without its telemetry, and with threads of our number."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from vista_sql.errors import HostError, PlanError, SettingError
from vista_sql.machine.resources import cores

from ...engine import Dtype
from . import kept

Core: TypeAlias = Any
"""An openvino.Core; its types are not spelled out, they import too slowly."""
Request: TypeAlias = Any
"""An openvino.InferRequest: a compiled model with room for one batch."""

PRECISIONS: dict[Dtype, str] = {"float32": "f32", "bfloat16": "bf16"}
"""OpenVINO computes in bfloat16 where the processor can, unless it is told what to compute in."""

TELEMETRY = "openvino_telemetry"
"""Counts uses in the home folder and starts a thread that reports them; without the package,
OpenVINO has a stub of its own that does nothing."""

LACKING = "No conversion rule found for operations:"
SUMMARY = ("Summary:", "-- Conversion is failed", "To facilitate the conversion")
"""What lines begin with at the end of a message that say nothing of what went wrong."""

_lock = threading.Lock()
_cores: list[tuple[int, Core]] = []  # at most one: the process, its core


def core() -> Core:
    """Return this process's OpenVINO, imported at the first call.

    Raises:
        HostError: it is not installed, or was started before this process was forked.
    """
    with _lock:
        if not _cores:
            _cores.append((os.getpid(), _imported().Core()))
        process, found = _cores[0]
    if process != os.getpid():
        raise HostError(
            "OpenVINO was loaded before this process was forked, and cannot be used in it: start "
            "processes with multiprocessing.get_context('spawn'), or infer in the first one"
        )
    return found


def compiled(
    write: Callable[[], bytes], dtype: Dtype, threads: int | None, place: Path | None = None
) -> Request:
    """Compile an ONNX model; return what runs it, one batch at a time.

    Args:
        write: gives it, serialized; it is held no longer than it takes to read it.
        dtype: of the arithmetic.
        threads: of one inference; None: one per core.
        place: where it is kept compiled, and taken from if it is there; None: nowhere.

    Raises:
        SettingError: the CPU has no such arithmetic.
        PlanError: OpenVINO cannot run the model.
    """
    runtime, options = core(), options_of(dtype, threads)
    if place is not None and (model := kept.read(place)) is not None:
        with suppress(RuntimeError):  # it is compiled anew, and replaced
            return _request(runtime.import_model(_tensor(model), "CPU", options), model)
    try:
        network = runtime.compile_model(runtime.read_model(write()), "CPU", options)
    except RuntimeError as error:
        raise PlanError(f"OpenVINO cannot run the network: {reason_of(error)}") from error
    if place is not None:
        kept.keep(place, network.export_model().getbuffer())  # before images take memory, too
    return _request(network, None)


def idle(request: Request) -> Request:
    """Return a request of the same model that holds no batch, and free what the model computed."""
    model = request.get_compiled_model()
    model.release_memory()
    return _request(model, request.read_from)


def _request(model: Any, read_from: np.ndarray | None) -> Request:
    """Return a request; what its model was read from stays: its weights are there."""
    request = model.create_infer_request()
    request.read_from = read_from
    return request


def _tensor(model: np.ndarray) -> Any:
    import openvino

    return openvino.Tensor(model, shared_memory=True)


def options_of(dtype: Dtype, threads: int | None) -> dict[str, object]:
    """Return how a model is to be compiled.

    Raises:
        SettingError: the CPU has no such arithmetic.
    """
    if dtype == "bfloat16" and "BF16" not in core().get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    ):
        raise SettingError(
            "dtype 'bfloat16' is not an arithmetic of this CPU, and engine 'openvino' does not "
            "imitate it: use dtype => 'float32' or engine => 'tensorflow'"
        )
    return {
        "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
        "INFERENCE_NUM_THREADS": threads or cores(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }


def reason_of(error: BaseException) -> str:
    """Return the line of OpenVINO's message that says what it is about.

    Example:
        >>> reason_of(RuntimeError("No conversion rule found for operations: Det-17"))
        'it has no operation Det-17'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line in lines:
        if lacking := line.partition(LACKING)[2]:
            return f"it has no operation {lacking.strip()}"
    said = [line for line in lines if not line.startswith(SUMMARY)] or [type(error).__name__]
    return said[-1]


def _imported() -> Any:
    known = TELEMETRY in sys.modules
    if not known:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise HostError(
            f"engine 'openvino' needs OpenVINO ({error}): pip install 'vista-sql[openvino]'"
        ) from error
    finally:
        if not known:
            del sys.modules[TELEMETRY]
    return openvino
