"""Load weights of the roster in both ways, through Keras and without: they agree, or fail alike."""

from __future__ import annotations

import json
import struct

import numpy as np
from numpy.testing import assert_array_equal

from vista_sql import roster, weights
from vista_sql.errors import WeightsError


def load(cnn, given, seed=0):
    """Return a network with weights: of a file, or 'random'."""
    cnn = roster.load(cnn) if isinstance(cnn, str) else cnn
    choice = weights.resolve(cnn, str(given), seed)
    if cnn.catalogue is not None:  # a user's own, which only Keras can read
        return weights.load_network(cnn, choice)
    network, fault = _tried(weights.load_network, cnn, choice)
    arrays, same_fault = _tried(weights.load_arrays, cnn, choice)
    if fault is not None:
        assert str(same_fault) == str(fault)
        raise fault
    for (path, mine), other in zip(arrays.items(), network.weights, strict=True):
        assert path.endswith(f"/{other.name}")
        assert mine.dtype == np.float32
        assert_array_equal(mine, other, err_msg=path)
    return network


def _tried(loader, cnn, choice):
    try:
        return loader(cnn, choice), None
    except WeightsError as error:
        return None, error


def write_safetensors(path, tensors):
    """Write float32 arrays (or (dtype, array) pairs) as a .safetensors file."""
    header, parts, place = {"__metadata__": {"format": "pt"}}, [], 0
    for name, array in tensors.items():
        kind, array = array if isinstance(array, tuple) else ("F32", array)
        data = np.ascontiguousarray(array).tobytes()
        ends = [place, place + len(data)]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": ends}
        parts.append(data)
        place += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(b"".join([struct.pack("<Q", len(text)), text, *parts]))
