"""A user's `.keras` file → what is known of its network, as data; Keras reads it.

As a program, `python -m … FILE ANSWER`, it is the process in which that is done for one that has no
Keras: it writes a file with the network, or with why there is none.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from vista_sql import errors, files
from vista_sql.errors import HostError, PlanError, WeightsError
from vista_sql.machine import own_process
from vista_sql.machine.resources import package_version
from vista_sql.roster import networks
from vista_sql.roster.catalogue.entries import entries
from vista_sql.roster.networks import NetworkData
from vista_sql.weights import described, hdf5, keras_files, own_networks
from vista_sql.weights.own_networks import OwnNetwork

from . import keras_check, keras_data, keras_reader, onnx_emitter
from .engines.tensorflow import DISTRIBUTIONS
from .engines.tensorflow.process import is_here, on_thread

KerasModel: TypeAlias = Any

ENVIRONMENT: Mapping[str, str] = {"CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
"""Of the process that reads a file: a GPU's memory is for those that run networks."""

CHECKED_BY = ("openvino", "onnx")


def can_check() -> bool:
    """Return whether what runs networks as data is installed, and they can be checked by it."""
    return all(package_version(package) is not None for package in CHECKED_BY)


def read_anywhere(path: str, as_data: bool) -> OwnNetwork:
    """Return what a file holds, read here if Keras is here already, else in a process of its own.

    Args:
        path: of the file, absolute.
        as_data: whether the data are to be checked, if that is possible.

    Raises:
        WeightsError: the file is damaged, or holds no network that can be used.
        HostError: Keras is not installed, or the process cannot be started.
    """
    if is_here():
        return read(path, as_data and can_check())
    if not any(map(package_version, DISTRIBUTIONS)):
        raise HostError(
            f"{path} was not used before, and has to be read by Keras once: pip install "
            "'vista-sql[cpu]' for that"
        )
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer.json")
        try:
            done = own_process.run(__name__, path, str(answer), variables=ENVIRONMENT)
        except OSError as error:
            raise HostError(f"Keras cannot be started to read {path}: {error}") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing was said"]
            raise WeightsError(
                f"{path} cannot be read by Keras: its process ended with status "
                f"{done.returncode} ({said[-1]})"
            )
        record = json.loads(answer.read_text(encoding="utf-8"))
    if "error" in record:
        raise getattr(errors, record["error"])(record["message"])
    return own_networks.parsed(record["network"], path)


def read(path: str, check: bool = False) -> OwnNetwork:
    """Return what a file holds, read by Keras in this process.

    Args:
        path: of the file, absolute.
        check: compare the data's values with Keras's; `can_check` says whether that is possible.

    Raises:
        WeightsError: the file is damaged, or holds no network that can be used.
        HostError: Keras is not installed.
    """
    keras_reader.keras()
    return on_thread(_read, path, check)


def _read(path: str, check: bool) -> OwnNetwork:
    with keras_files.kept_random_state():
        network = keras_files.read_network(path)
    layers = entries(network)
    if not layers:
        raise WeightsError(f"the network in {path} has no layer that returns one tensor of floats")
    height, width, channels = network.inputs[0].shape[1:]
    data, why_not = _data(network, path)
    if data is not None and check:
        why_not = keras_check.difference(network, data, path)
        data = data if why_not is None else None
    return OwnNetwork(
        input_shape=(height, width, channels),
        parameters=network.count_params(),
        revision=keras_files.revision(network),
        layers=layers,
        data=data,
        only_tensorflow=why_not,
        is_checked=check and data is not None,
    )


def _data(network: KerasModel, path: str) -> tuple[NetworkData | None, str | None]:
    """Return a network as data; or what of it is none, which only TensorFlow can run."""
    why_not = onnx_emitter.unwritable(keras_reader.read(network))
    if why_not is not None:
        return None, why_not
    description, holders = described.of_keras(network)
    text = networks.written(keras_data.trained_data(network, path, description, holders))
    data = networks.parsed(path, text)
    by_path = {variable.path: holder for variable, holder in holders.items()}
    to_numpy = keras_reader.keras().ops.convert_to_numpy
    try:
        for variable, values in hdf5.read(described.of_data(data), path, path):
            own = np.asarray(to_numpy(by_path[variable.path]), np.float32)
            if not np.array_equal(np.asarray(values, np.float32), own, equal_nan=True):
                return None, f"layer {variable.layer!r}, whose weights the file has elsewhere"
    except WeightsError as error:
        return None, f"the network as it is saved ({error})"
    return data, None


def main() -> None:
    """Read the file that the first argument names, and write the answer to the second."""
    path, answer = sys.argv[1:]
    try:
        record = {"network": own_networks.written(read(path, can_check()))}
    except (WeightsError, HostError, PlanError) as error:
        record = {"error": type(error).__name__, "message": str(error)}
    files.write(Path(answer), json.dumps(record))


if __name__ == "__main__":
    main()
