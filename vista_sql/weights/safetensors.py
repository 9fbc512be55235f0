"""Read `.safetensors` files, and the weights of networks from those that timm and torchvision name.

The format (github.com/huggingface/safetensors): the header's length as 8 bytes, the header as JSON
(name → dtype, shape, place), the tensors' bytes, little-endian.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path

from msgspec import Struct

from vista_sql.errors import WeightsError
from vista_sql.roster import Cnn, TorchNames
from vista_sql.roster.networks import Variable, Weighted, leaves
from vista_sql.weights.described import Array, Description

MAX_HEADER_BYTES = 100_000_000  # the format's own limit
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
SUFFIXES = {  # our variable → torch's
    "kernel": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
SUFFIX = ".safetensors"
COUNTER = "num_batches_tracked"  # a torch batch norm counts its batches; inference does not ask
CHANNELWISE = ("DepthwiseConv2D", "LayerScale")  # classes of layers


class Tensor(Struct, frozen=True):
    """Where one tensor lies in a file."""

    dtype: str
    shape: tuple[int, ...]
    start: int  # in bytes, from the file's beginning
    end: int


def read(network: Description, cnn: Cnn, path: str) -> Iterator[tuple[Variable, Array]]:
    """Yield every variable's values in a file, once all of them are known to be there.

    Raises:
        WeightsError: the file is damaged or of another network.
    """
    tensors = read_header(path, cnn.name)
    names = names_in(tensors, cnn)
    for name, why in names.others.items():
        if name in tensors:
            raise WeightsError(f"weights file {path} is not of {cnn.name}: {why}")
    unread = dict(tensors)
    values: list[tuple[Variable, Array]] = []
    layers = {layer.name: layer for layer in leaves(network.layers)}
    for name, layer, variable in _wanted(names, layers):
        tensor = unread.pop(name, None)
        if tensor is None:
            raise WeightsError(
                f"weights file {path} is not of {cnn.name}: it has no tensor {name!r}, which "
                f"layer {layer.name!r} needs"
            )
        array = converted(
            _read(path, tensor, name), names.flattened.get(layer.name), layer.kind in CHANNELWISE
        )
        if array.shape != variable.shape:
            raise WeightsError(
                f"weights file {path} is not of {cnn.name}: layer {layer.name!r} needs "
                f"{variable.shape}, and the file has {tensor.shape} in {name!r}"
            )
        values.append((variable, array))
    for name in unread:
        if not name.endswith(COUNTER) and not name.startswith(names.unused):
            raise WeightsError(
                f"weights file {path} is not of {cnn.name}: the file also has a tensor {name!r}"
            )
    yield from values


def names_in(tensors: Iterable[str], cnn: Cnn) -> TorchNames:
    """Return by whose names a file calls its tensors: those of which it has the most."""
    known = frozenset(tensors)
    return max(cnn.torch_names, key=lambda one: sum(f"{m}.weight" in known for m in one.modules))


def _wanted(
    names: TorchNames, layers: Mapping[str, Weighted]
) -> Iterator[tuple[str, Weighted, Variable]]:
    """Yield each tensor that is needed, with the layer and the variable that it fills."""
    for module, layer in names.modules.items():
        for variable in layers[layer].variables:
            yield f"{module}.{SUFFIXES[variable.name]}", layers[layer], variable
    for name, layer in names.parameters.items():
        yield name, layers[layer], layers[layer].variables[0]


def read_header(path: str, cnn: str) -> dict[str, Tensor]:
    """Return what a file holds, by name.

    Raises:
        WeightsError: the file is damaged.
    """
    size = Path(path).stat().st_size
    try:
        with Path(path).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        tensors = {
            name: Tensor(
                entry["dtype"],
                tuple(int(side) for side in entry["shape"]),
                *(8 + length + int(place) for place in entry["data_offsets"]),
            )
            for name, entry in header.items()
        }
        if any(not 8 + length <= one.start <= one.end <= size for one in tensors.values()):
            raise ValueError("it ends before its last tensor")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"weights file {path} of {cnn} cannot be read ({error}): it is damaged or no "
            ".safetensors file; fetch or save it again"
        ) from error
    return tensors


def _read(path: str, tensor: Tensor, name: str) -> Array:
    """Return a tensor as float32."""
    import numpy as np

    if tensor.dtype not in FLOATS:
        raise WeightsError(
            f"weights file {path} has {name!r} as {tensor.dtype}; known are {', '.join(FLOATS)}"
        )
    kind = np.dtype(FLOATS[tensor.dtype])
    if prod(tensor.shape) * kind.itemsize != tensor.end - tensor.start:
        raise WeightsError(
            f"weights file {path} is damaged: {name!r} does not have the length that it states"
        )
    values = np.fromfile(path, kind, prod(tensor.shape), offset=tensor.start)
    if tensor.dtype == "BF16":  # the upper half of a float32
        values = (values.astype("<u4") << 16).view("<f4")
    return values.astype(np.float32, copy=False).reshape(tensor.shape)


def converted(array: Array, below: tuple[int, int, int] | None, channelwise: bool = False) -> Array:
    """Return torch's axes as Keras's: (filters, channels, height, width) and (units, values).

    Args:
        array: as torch has it.
        below: (channels, height, width) of the map that torch flattens into the values.
        channelwise: of a layer that computes each channel by itself: (channels, 1, height, width),
            or a number for each, (channels, 1, 1).
    """
    if below is not None and array.ndim == 2 and array.shape[1] == prod(below):
        maps = array.reshape(-1, *below).transpose(2, 3, 1, 0)
        return maps.reshape(prod(below), -1)
    if array.ndim == 4:
        return array.transpose(2, 3, 0, 1) if channelwise else array.transpose(2, 3, 1, 0)
    if array.ndim == 3 and channelwise and array.shape[1:] == (1, 1):
        return array.reshape(-1)
    return array.T if array.ndim == 2 else array
