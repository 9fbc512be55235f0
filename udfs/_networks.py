"""Load a CNN and run parts of it: images, or a layer's raw maps, in; features or raw maps out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from vista_sql.kernels import InferSpec
from vista_sql.roster import Cnn, Preprocessing

from . import _pool
from ._tensorflow import Tensor, load

KerasModel: TypeAlias = Any

BUCKETS = (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Batches are padded to one of these lengths: few shapes to compile for, and never a single row,
for which the matrix products of dense layers take another order of summation."""


@dataclass(frozen=True, slots=True)
class OpenCnn:
    """A CNN whose weights are chosen and can be loaded."""

    cnn: Cnn
    identity: str  # equal identities compute equal features
    load: Callable[[], KerasModel]


def open_cnn(spec: InferSpec) -> OpenCnn:
    """Find the CNN and the weights that a spec names; loads neither TensorFlow nor the network."""
    from vista_sql import weights

    cnn = weights.facts(spec.cnn)
    choice = weights.resolve(cnn, spec.weights, spec.seed)

    def network() -> KerasModel:
        load()
        return weights.load_network(cnn, choice)

    return OpenCnn(cnn, f"{cnn.name}/{choice.identity}", network)


class Network:
    """One CNN with its weights, in one arithmetic, on one device."""

    def __init__(self, opened: OpenCnn, spec: InferSpec, threads: int) -> None:
        load(threads)
        self._model = opened.load()
        self._preprocessing: Preprocessing = opened.cnn.preprocessing
        self.input_shape: tuple[int, int, int] = opened.cnn.input_shape
        self._lock = threading.Lock()
        self._functions: dict[tuple[tuple[str, ...], str], Callable[[Tensor], list[Tensor]]] = {}

    def batch_rows(self, layers: Sequence[str]) -> int:
        """Return how many images one micro-batch holds at most."""
        return 32

    def features(self, layers: Sequence[str], pool: str, images: np.ndarray) -> list[np.ndarray]:
        """Return one float32 matrix (rows, values) per layer for uint8 images (rows, h, w, c)."""
        function = self._function(tuple(layers), pool)
        rows = len(images)
        return [out.numpy()[:rows] for out in function(padded(images))]

    def _function(self, layers: tuple[str, ...], pool: str) -> Callable[[Tensor], list[Tensor]]:
        with self._lock:
            if (layers, pool) not in self._functions:
                self._functions[layers, pool] = self._trace(layers, pool)
            return self._functions[layers, pool]

    def _trace(self, layers: tuple[str, ...], pool: str) -> Callable[[Tensor], list[Tensor]]:
        tf, keras = load()
        outputs = [self._model.get_layer(name).output for name in layers]
        part = keras.Model(self._model.inputs, outputs)

        def call(images: Tensor) -> list[Tensor]:
            values = tf.cast(images, tf.float32) - tf.constant(self._preprocessing.mean, tf.float32)
            found = part(values * tf.constant(self._preprocessing.scale, tf.float32))
            found = found if isinstance(found, list | tuple) else [found]
            return [_pool.pooled(values, pool) for values in found]

        signature = [tf.TensorSpec((None, *self.input_shape), tf.uint8)]
        concrete: Callable[[Tensor], list[Tensor]] = tf.function(
            call, input_signature=signature
        ).get_concrete_function()
        return lambda images: concrete(tf.constant(images))


def padded(batch: np.ndarray) -> np.ndarray:
    """Return the batch with its last row repeated up to the next bucket."""
    rows = len(batch)
    target = next((bucket for bucket in BUCKETS if bucket >= rows), rows)
    if target == rows:
        return batch
    return np.concatenate([batch, np.repeat(batch[-1:], target - rows, axis=0)])
