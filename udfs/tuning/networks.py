"""The network that is tuned, loaded for one call alone; and how it is saved."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from vista_sql import weights
from vista_sql.kernels import InferSpec
from vista_sql.roster import Cnn
from vista_sql.train.tuning import FinetuneSpec, Run
from vista_sql.weights import described, kept_networks, own_networks, random_weights

from ..network import keras_reader, own_network
from ..network.engines.tensorflow.process import load, on_thread
from ..network.engines.tensorflow.runner import device_name
from ..network.engines.tensorflow.trainable import Trainable
from ..network.graph import Graph
from ..network.keras_reader import KerasCall
from ..network.networks import IMAGE
from ..passes.runtime import Runtime

KerasModel: TypeAlias = Any


class OpenNetwork:
    """A network whose weights are this call's own."""

    def __init__(self, runtime: Runtime, infer: InferSpec, spec: FinetuneSpec) -> None:
        self._infer, self._spec = infer, spec
        self.cnn: Cnn = runtime.opened(infer).cnn
        keras_reader.keras(infer.threads)
        self._model, self._graph, self._device = on_thread(self._loaded)
        self._trainables: dict[tuple[str, tuple[str, ...]], Trainable] = {}
        self._described = ""  # the network as data, once it was saved

    def _loaded(self) -> tuple[KerasModel, Graph, str]:
        tf, _ = load()
        device = device_name(self._infer.device)
        choice = weights.resolve(self.cnn, self._infer.weights, self._infer.seed)
        with tf.device(device):
            model = weights.load_network(self.cnn, choice)
            return model, keras_reader.read(model), device

    def trainable(self, run: Run) -> Trainable:
        """Return what tunes a run's layers; runs that differ in rates and seeds share it."""
        key = run.start, run.unfrozen
        if key not in self._trainables:
            start = self._graph.input if run.start == IMAGE else run.start
            self._trainables[key] = on_thread(
                Trainable,
                self._graph,
                self.cnn.preprocessing,
                start,
                self._spec.layer,
                self._infer.pool,
                run.unfrozen,
                self._device,
            )
        return self._trainables[key]

    def reset_values(self, trainable: Trainable, run: Run) -> Sequence[np.ndarray]:
        """Return what a run's variables begin with: random where it resets their layer."""
        return on_thread(self._reset_values, trainable, run)

    def _reset_values(self, trainable: Trainable, run: Run) -> Sequence[np.ndarray]:
        description, holders = described.of_keras(self._model)
        drawn = random_weights.draw(description, run.seed, self.cnn.preprocessing)
        values = {id(holders[variable]): np.asarray(value) for variable, value in drawn}
        origins = (self._graph.steps[name].origin for name in run.reset)
        reset = {
            id(variable)
            for origin in origins
            if isinstance(origin, KerasCall)
            for variable in origin.layer.trainable_variables
        }
        return [
            values.get(id(variable), kept).reshape(kept.shape) if id(variable) in reset else kept
            for variable, kept in zip(trainable.variables, trainable.original, strict=True)
        ]

    def save(self, path: Path) -> None:
        """Write the network as it is now to a `.keras` file that says what we know of it."""
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # Keras reads its variables in a way that NumPy 2 warns of
            on_thread(self._model.save, path)
            if not self._described:
                own = own_network.read(str(path), own_network.can_check())
                self._described = own_networks.written(own)
        kept_networks.add(path, self.cnn, self._described)
