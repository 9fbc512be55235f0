"""Keep batches within a GPU's free memory: cut before, by shapes; halved after, where it ran out.

The guard is the Vista paper's inequality (15), `cpu × max(|f|_mem_gpu, |M|_mem_gpu) < mem_GPU`, for
one process whose models are trained on the CPU: what the network holds must fit. `|f|_mem_gpu` is
written out as weights + activations × images, and `mem_GPU` is what is free, not what is built in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
from msgspec import Struct

from vista_sql.errors import PlanError
from vista_sql.units import format_bytes

from .process import load

Nvml: TypeAlias = Any
"""The module `pynvml`, which has no types."""
NvmlDevice: TypeAlias = Any

MARGIN = 2
"""Room for what shapes do not say: a convolution's result beside its biased copy, branches that run
side by side, cuDNN's workspace, fragments of TensorFlow's pool."""

MESSAGES = ("No algorithm worked", "ALLOC_FAILED", "scratch space", "out of memory")
"""What errors other than ResourceExhaustedError say where cuDNN or cuBLAS got no memory
(github.com/tensorflow/tensorflow/issues/60713 and 60783)."""


class Need(Struct, frozen=True):
    """What a network holds on a GPU while it runs."""

    weights_bytes: int
    row_bytes: int  # activations of one image


def needed(
    steps: Sequence[tuple[str, Sequence[str], int]], parameters: int, value_bytes: int
) -> Need:
    """Return what a network holds.

    Args:
        steps: of each its name, the names of its inputs and the values of one image's result; a
            step stands after its inputs.
        parameters: of the network.
        value_bytes: of one value in its arithmetic: 4 for float32, 2 for bfloat16.
    """
    return Need(parameters * value_bytes, MARGIN * live_values(steps) * value_bytes)


def live_values(steps: Sequence[tuple[str, Sequence[str], int]]) -> int:
    """Return the most values of one image alive at once: each from its step to its last use."""
    last = {used: place for place, (_, inputs, _) in enumerate(steps) for used in inputs}
    alive: dict[str, int] = {}
    most = 0
    for place, (name, inputs, size) in enumerate(steps):
        alive[name] = size
        most = max(most, sum(alive.values()))
        for used in inputs:
            if last[used] == place:
                alive.pop(used, None)
    return most


def fitting_rows(need: Need, free_bytes: int) -> int:
    """Return the most images with weights + activations × images < `free_bytes`; may be 0."""
    return max(0, (free_bytes - need.weights_bytes - 1) // need.row_bytes)


def free_bytes() -> int | None:
    """Return the free memory of the GPU that TensorFlow calls GPU:0; None: the driver does not say.

    What TensorFlow's own pool has and does not use counts as free, as far as is known: the pool
    never shrinks, so it has at least what was once used.
    """
    try:
        import pynvml
    except ModuleNotFoundError:
        return None
    try:
        pynvml.nvmlInit()
        try:
            free = min(pynvml.nvmlDeviceGetMemoryInfo(gpu).free for gpu in _first(pynvml))
        finally:
            pynvml.nvmlShutdown()
    except (pynvml.NVMLError, ValueError):  # no driver, no permission, a name of no GPU
        return None
    tf, _ = load()
    used = tf.config.experimental.get_memory_info("GPU:0")
    return int(free + used["peak"] - used["current"])


def _first(nvml: Nvml) -> list[NvmlDevice]:
    """Return the GPU that CUDA counts first, or all that it may be.

    CUDA counts the fastest first, the driver by slots; they agree where all are of one model, or
    where CUDA_DEVICE_ORDER says so.
    """
    name = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip()
    if name.startswith(("GPU-", "MIG-")):
        return [nvml.nvmlDeviceGetHandleByUUID(name)]
    gpus = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
    by_slot = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    if by_slot or len({nvml.nvmlDeviceGetName(gpu) for gpu in gpus}) == 1:
        return gpus[int(name) :][:1]
    return gpus


class Guard:
    """How many images of a network a GPU takes at once; used in TensorFlow's thread only."""

    def __init__(
        self,
        cnn: str,
        need: Need,
        lengths: Sequence[int],
        free: Callable[[], int | None] = free_bytes,
    ) -> None:
        """Ask nothing yet.

        Args:
            cnn: the network's name, for errors.
            need: what it holds.
            lengths: a batch may have, ascending.
            free: says what memory is free.
        """
        self._cnn, self._need, self._lengths, self._free = cnn, need, lengths, free
        self.rows: int | None = None  # the most at once; None: not known before the first batch

    def run(
        self, call: Callable[[np.ndarray], list[np.ndarray]], values: np.ndarray
    ) -> list[np.ndarray]:
        """Return what `call` does for all rows, called with as many at once as the memory takes.

        Args:
            call: returns matrices with one row per row that it is given.
            values: (rows, …).

        Raises:
            PlanError: the GPU's memory does not take the shortest batch.
        """
        if self.rows is None:
            free = self._free()
            self.rows = (
                self._lengths[-1] if free is None else self._longest(fitting_rows(self._need, free))
            )
        parts: list[list[np.ndarray]] = []
        done = 0
        while done < len(values) or not parts:
            piece = values[done : done + self.rows]
            if (matrices := self._attempt(call, piece)) is not None:
                parts.append(matrices)
                done += len(piece)
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]

    def _attempt(
        self, call: Callable[[np.ndarray], list[np.ndarray]], piece: np.ndarray
    ) -> list[np.ndarray] | None:
        """Return the call's matrices, or None where the memory ran out: fewer rows are next.

        What failed is left behind here, so that its tensors are freed before the next attempt.
        """
        tf, _ = load()
        try:
            return call(piece)
        except tf.errors.OpError as error:
            if not is_out_of_memory(error):
                raise
            if len(piece) <= self._lengths[0]:
                held_bytes = self._need.weights_bytes + self._lengths[0] * self._need.row_bytes
                raise _refusal(self._cnn, f"{self._lengths[0]} images", held_bytes) from error
        self.rows = self._longest(len(piece) // 2)
        return None

    def _longest(self, rows: int) -> int:
        """Return the longest batch of at most `rows`; the shortest, which is tried, if none is."""
        return max((n for n in self._lengths if n <= rows), default=self._lengths[0])


@contextmanager
def loading(cnn: str, weights_bytes: int) -> Iterator[None]:
    """Raise a PlanError where a network's weights alone do not fit the GPU's memory."""
    tf, _ = load()
    try:
        yield
    except tf.errors.OpError as error:
        if not is_out_of_memory(error):
            raise
        raise _refusal(cnn, "no image", weights_bytes) from error


def _refusal(cnn: str, what: str, held_bytes: int) -> PlanError:
    free = free_bytes()
    has = "" if free is None else f", of which {format_bytes(free)} are free"
    return PlanError(
        f"{cnn} does not fit the GPU's memory{has}: with {what} it holds about "
        f"{format_bytes(held_bytes)}; end what else uses the GPU, take dtype => 'bfloat16' or a "
        "smaller CNN, or give device => 'cpu'"
    )


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error of TensorFlow (a tf.errors.OpError) says that memory ran out."""
    tf, _ = load()
    text = str(error)
    exhausted = isinstance(error, tf.errors.ResourceExhaustedError)
    return exhausted or any(message in text for message in MESSAGES)
