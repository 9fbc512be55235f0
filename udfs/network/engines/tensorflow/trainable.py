"""A part of a network and a linear head on it, trained by gradients.

What is trained are the variables of some layers and the head; everything else is computed as in
inference, batch norms with their kept statistics too. Keras's own layers compute it, in float32: a
fused operation has no gradient. All of it runs in TensorFlow's thread.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from math import prod
from typing import Any, TypeAlias

import numpy as np
from msgspec import Struct

from vista_sql.roster import Preprocessing

from ...graph import Graph
from ...keras_reader import KerasCall
from . import augmenting, pooling
from .process import Tensor, load

Variable: TypeAlias = Any
"""A keras.Variable."""
Optimizer: TypeAlias = Any

MOMENTUM = 0.9


class Head(Struct, frozen=True):
    """A linear predictor on a layer's pooled features and on structured ones.

    margins = features / `scale` × `layer` + structured × `structured` + `intercept`.
    """

    layer: np.ndarray  # float32 (features, columns)
    structured: np.ndarray  # float32 (structured features, columns)
    intercept: np.ndarray  # float32 (columns,)
    scale: float = 1.0

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is trained."""
        return self.layer, self.structured, self.intercept


class Batch(Struct, frozen=True):
    """Rows to train on, or to score."""

    values: np.ndarray  # float32 (rows, values) of the start
    structured: np.ndarray  # float32 (rows, structured features), standardized
    code: np.ndarray  # int64 (rows,) classes
    weight: np.ndarray  # float32 (rows,) what a row's loss counts


Weights: TypeAlias = tuple[np.ndarray, ...]
"""The values of all that is trained: the layers' variables, then the head's three."""


class Trainable:
    """A network from one of its steps to a pooled layer, with a head on that."""

    def __init__(
        self,
        graph: Graph,
        preprocessing: Preprocessing,
        start: str,
        layer: str,
        pool: str,
        unfrozen: Collection[str],
        device: str,
    ) -> None:
        """Find what is computed and what is trained; nothing is traced yet.

        Args:
            graph: the network, read from Keras: its weights are variables of this process.
            preprocessing: from pixels to the network's input.
            start: the step whose values are given; the graph's input: pixels, 0 to 255.
            layer: the step that the head reads.
            pool: one of vista_sql.kernels.POOLS.
            unfrozen: the steps whose weights are trained.
            device: TensorFlow's name of it.
        """
        self._graph, self._preprocessing = graph, preprocessing
        self._start, self._layer, self._pool = start, layer, pool
        self._device = device
        self._order = _order(graph, start, layer)
        found: dict[int, Variable] = {}
        for name in self._order:
            if name in unfrozen:
                own = _call(graph, name).layer
                own.trainable = True
                found |= {id(variable): variable for variable in own.trainable_variables}
        self.variables: tuple[Variable, ...] = tuple(found.values())
        self.original = tuple(variable.numpy().copy() for variable in self.variables)
        self._head: tuple[Variable, ...] = ()
        self._optimizers: list[tuple[Optimizer, tuple[Variable, ...]]] = []

    def begin(
        self,
        head: Head,
        rate: float,
        inner_rate: float,
        augment: Sequence[str],
        seed: int,
        initial: Sequence[np.ndarray] | None = None,
    ) -> None:
        """Put weights back to what they were at first, and begin anew from a head.

        Args:
            head: where it starts.
            rate: the head's learning rate.
            inner_rate: that of the layers.
            augment: as `augmenting.augmented` takes it.
            seed: of what augmenting draws.
            initial: what the layers' variables begin with; None: as they were at first.
        """
        tf, _ = load()
        with tf.device(self._device):
            if not self._optimizers:
                self._build(head, augment)
            self._scale.assign(head.scale)
            self._set(self._head, head.arrays)
            self._set(self.variables, self.original if initial is None else initial)
            for (optimizer, _), own_rate in zip(self._optimizers, (rate, inner_rate), strict=True):
                for momentum in optimizer.momentums:
                    momentum.assign(tf.zeros_like(momentum.value))
                optimizer.learning_rate = own_rate
        self._seed, self._n_steps = seed % 2**31, 0

    def _build(self, head: Head, augment: Sequence[str]) -> None:
        """Make what all runs share: the head's variables, optimizers, and functions to trace."""
        tf, keras = load()
        self._augment = tuple(augment)
        self._scale = keras.Variable(head.scale, dtype="float32", trainable=False)
        self._head = tuple(keras.Variable(one, dtype="float32") for one in head.arrays)
        self._optimizers = [
            (keras.optimizers.SGD(0.0, MOMENTUM), variables)
            for variables in (self._head, self.variables)
        ]
        for optimizer, variables in self._optimizers:
            optimizer.build(list(variables))
        n_values = prod(side or 1 for side in self._graph.steps[self._start].shape or ())
        values = tf.TensorSpec((None, n_values), tf.float32)
        structured = tf.TensorSpec((None, head.structured.shape[0]), tf.float32)
        of_rows = [tf.TensorSpec((None,), dtype) for dtype in (tf.int64, tf.float32)]
        seed = tf.TensorSpec((2,), tf.int32)
        made = partial(tf.function, autograph=False)
        self._stepped = made(self._step, input_signature=[values, structured, *of_rows, seed])
        self._scored = made(self._margins, input_signature=[values, structured])

    def step(self, batch: Batch) -> float:
        """Take one step down the gradient of a batch's mean loss; return that loss before it."""
        tf, _ = load()
        self._n_steps += 1
        with tf.device(self._device):
            loss = self._stepped(
                tf.constant(batch.values),
                tf.constant(batch.structured),
                tf.constant(batch.code),
                tf.constant(batch.weight),
                tf.constant([self._seed, self._n_steps], tf.int32),
            )
        return float(loss)

    def margins(self, values: np.ndarray, structured: np.ndarray) -> np.ndarray:
        """Return float32 (rows, columns), as `vista_sql.train.Trainer.margins` has them."""
        tf, _ = load()
        with tf.device(self._device):
            found: np.ndarray = self._scored(tf.constant(values), tf.constant(structured)).numpy()
        return found

    def features(self, values: np.ndarray) -> np.ndarray:
        """Return the layer's pooled features, float32 (rows, features), as the head reads them."""
        tf, _ = load()
        with tf.device(self._device):
            found: np.ndarray = self._features(tf.constant(values)).numpy()
        return found

    @property
    def weights(self) -> Weights:
        """Copies of all that is trained."""
        return tuple(one.numpy().copy() for one in (*self.variables, *self._head))

    def restore(self, weights: Weights) -> None:
        """Put back what `weights` returned."""
        self._set((*self.variables, *self._head), weights)

    def leave(self) -> None:
        """Put the layers' weights back to what they were at first."""
        self._set(self.variables, self.original)

    def head(self) -> Head:
        """Return the head as it is."""
        layer, structured, intercept = (one.numpy().copy() for one in self._head)
        return Head(layer, structured, intercept, float(self._scale.numpy()))

    @staticmethod
    def _set(variables: Sequence[Variable], values: Sequence[np.ndarray]) -> None:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def _features(self, values: Tensor) -> Tensor:
        tf, _ = load()
        shape = self._graph.steps[self._start].shape or ()
        value = tf.reshape(values, (-1, *shape))
        if self._start == self._graph.input:
            value = self._preprocess(value)
        return pooling.pooled(self._walk({self._start: [value]}), self._pool)

    def _walk(self, known: dict[str, list[Tensor]]) -> Tensor:
        for name in self._order:
            step = self._graph.steps[name]
            if step.origin is None:  # where an inner network ends
                known[name] = known[step.inputs[0]]
                continue
            call = _call(self._graph, name)
            places = zip(step.inputs, call.output_places, strict=True)
            known[name] = call([known[need][place] for need, place in places])
        return known[self._layer][0]

    def _preprocess(self, pixels: Tensor) -> Tensor:
        tf, _ = load()
        mean, scale = self._preprocessing.mean, self._preprocessing.scale
        return (pixels - tf.constant(mean, tf.float32)) * tf.constant(scale, tf.float32)

    def _margins(self, values: Tensor, structured: Tensor) -> Tensor:
        tf, _ = load()
        layer, own, intercept = self._head
        features = self._features(values) / self._scale.value
        return tf.matmul(features, layer.value) + tf.matmul(structured, own.value) + intercept.value

    def _step(
        self, values: Tensor, structured: Tensor, code: Tensor, weight: Tensor, seed: Tensor
    ) -> Tensor:
        tf, _ = load()
        if self._augment:
            shape = self._graph.steps[self._start].shape or ()
            pixels = tf.reshape(values, (-1, *shape))
            values = augmenting.augmented(pixels, self._augment, self._preprocessing.order, seed)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for variable in (*self.variables, *self._head):
                tape.watch(variable.value)
            losses = _losses(self._margins(values, structured), code)
            loss = tf.reduce_sum(weight * losses) / tf.reduce_sum(weight)
        groups = [[one.value for one in variables] for _, variables in self._optimizers]
        gradients = tape.gradient(loss, groups, unconnected_gradients="zero")
        for (optimizer, variables), found in zip(self._optimizers, gradients, strict=True):
            if variables:
                shortened = _shortened(found, loss, optimizer.learning_rate)
                optimizer.apply(shortened, list(variables))
        return loss


def _shortened(gradient: Sequence[Tensor], loss: Tensor, rate: Tensor) -> list[Tensor]:
    """Return a gradient so short that its step leads no further down than to a loss of zero.

    That of a linear loss: the stochastic Polyak step (Loizou et al., arXiv:2002.10542, SPS_max)
    bounds a rate that is too large for the network at hand. Momentum repeats a step 1 / (1 -
    MOMENTUM) times.
    """
    tf, _ = load()
    squares = tf.add_n([tf.reduce_sum(tf.square(one)) for one in gradient])
    longest = tf.math.divide_no_nan(loss * (1 - MOMENTUM), tf.cast(rate, tf.float32) * squares)
    factor = tf.where(rate * squares > 0, tf.minimum(longest, 1.0), 1.0)
    return [factor * one for one in gradient]


def _losses(margins: Tensor, code: Tensor) -> Tensor:
    """Return each row's log-loss (rows,): of log-odds where there is one column, else of scores."""
    tf, _ = load()
    if margins.shape[1] == 1:
        target = tf.cast(code, tf.float32)
        return tf.nn.sigmoid_cross_entropy_with_logits(target, margins[:, 0])
    return tf.nn.sparse_softmax_cross_entropy_with_logits(code, margins)


def _order(graph: Graph, start: str, layer: str) -> tuple[str, ...]:
    """Return the steps from a start to a layer, each after what it reads."""
    needed, pending = set(), [layer]
    while pending:
        name = pending.pop()
        if name not in needed and name != start:
            needed.add(name)
            pending += graph.steps[name].inputs
    return tuple(name for name in graph.steps if name in needed)


def _call(graph: Graph, name: str) -> KerasCall:
    call = graph.steps[name].origin
    if not isinstance(call, KerasCall):
        raise TypeError(f"step {name!r} was not read from Keras")
    return call
