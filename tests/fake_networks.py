"""A network that only adds up pixels, for tests of what stands around networks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from vista_sql.udfs.passes.inputs import Inputs, read_inputs
from vista_sql.udfs.passes.runtime import Runtime

from vista_sql.errors import PlanError
from vista_sql.kernels import InferSpec


class FakeNetwork:
    """Every output of an image is its sum and the output's name's length, in batches of three."""

    batch_rows = 3
    on_gpu = False

    def __init__(self) -> None:
        self.runs: list[tuple[str | None, tuple[tuple[str, str], ...], int]] = []
        """(start, outputs, images) of each pass."""

    def check_start(self, start: str, layers: Any) -> None:
        """Let everything start anywhere but at c3."""
        if start == "c3":
            raise PlanError("nothing starts at c3")

    def run(self, start: str | None, outputs: Any, values: np.ndarray) -> list[np.ndarray]:
        """Return (images, 2) per output."""
        self.runs.append((start, tuple(outputs), len(values)))
        sums = values.reshape(len(values), -1).astype(np.float32).sum(1)
        return [
            np.stack([sums, np.full(len(sums), len(layer + pool), np.float32)], 1)
            for layer, pool in outputs
        ]


def runtime(network: FakeNetwork | None = None) -> Runtime:
    """Return a runtime whose one network is a fake; CNNs' facts are the roster's."""
    made = Runtime()
    fake = network or FakeNetwork()
    made.network = lambda spec: fake
    made.is_loaded = lambda spec: True
    return made


def png(seed: int) -> bytes:
    """Return an image's bytes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 9), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def inputs(images: Any, of: Runtime | None = None, **spec: Any) -> Inputs:
    """Return the inputs of a call upon images, whose keys are k0, k1 …."""
    column = images if isinstance(images, pa.Array) else pa.array(images, pa.binary())
    order = InferSpec("lenet5", ("c5", "f6"), weights="random", run="r", **spec)
    keys = pa.array([f"k{row}" for row in range(len(column))])
    return read_inputs(of or runtime(), order, column, keys)
