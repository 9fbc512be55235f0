"""Read the weights of a network as data from any of Keras's file formats, without Keras."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import zip_longest
from typing import Any, TypeAlias

from vista_sql.errors import WeightsError
from vista_sql.roster.networks import Variable, Weighted
from vista_sql.weights.described import Array, Description

Group: TypeAlias = Any  # of an HDF5 file
Saved: TypeAlias = tuple[str, list[Any]]  # a layer's name in the file, its arrays in order
Pair: TypeAlias = tuple[Weighted | None, Saved]


def read(network: Description, cnn: str, path: str) -> Iterator[tuple[Variable, Array]]:
    """Yield every variable's values in a file, once all of them are known to be there.

    Layers are matched as Keras matches them: by position in the old format (`.h5`), by class and
    number in the new one (`.weights.h5`, `.keras`). Unlike Keras, a layer too many is an error.

    Raises:
        WeightsError: the file is damaged or of another network.
    """
    import numpy as np

    layers = network.layers
    with _hdf5(path, cnn) as file:
        root = file.get("model_weights", file)
        is_old = _is_old(root)
        is_own = cnn.lower().endswith(".keras")  # of a CNN with a name the order is known
        if is_old and is_own and (inner := [layer.name for layer in layers if layer.inner]):
            raise WeightsError(
                f"weights file {path} has Keras's old format, in which the order of weights in "
                f"{inner[0]!r}, a network within {cnn}, depends on what of it was trained: save it "
                "as .weights.h5, or take engine => 'tensorflow'"
            )
        pairs = _by_position(layers, root) if is_old else _by_class(layers, root)
        for layer, (name, arrays) in pairs:
            if difference := _difference(layer, name, arrays):
                raise WeightsError(f"weights file {path} is not of {cnn}: {difference}")
        for layer, (_, arrays) in pairs:
            for variable, array in zip(layer.variables if layer else (), arrays, strict=True):
                yield variable, np.asarray(array).reshape(variable.shape)


@contextmanager
def _hdf5(path: str, cnn: str) -> Iterator[Group]:
    """Open the HDF5 file at `path`, or the one inside a `.keras` archive."""
    import h5py

    try:
        source = path
        if path.lower().endswith(".keras"):
            with zipfile.ZipFile(path) as archive:
                source = BytesIO(archive.read("model.weights.h5"))  # type: ignore[assignment]
        with h5py.File(source, "r") as file:
            yield file
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"weights file {path} of {cnn} cannot be read ({_first_line(error)}): it is damaged or "
            "was not written by Keras; fetch or save it again"
        ) from error


def _is_old(root: Group) -> bool:
    return any(name.startswith("layer_names") for name in root.attrs)


def _by_position(layers: Sequence[Weighted], root: Group) -> list[Pair]:
    """Pair layers in the format of Keras 1 and 2: the n-th that has weights with the n-th."""
    saved: list[Saved] = []
    for name in _names(root, "layer_names"):
        if arrays := [root[name][weight] for weight in _names(root[name], "weight_names")]:
            saved.append((name, arrays))
    missing: Saved = ("", [])
    pairs = zip_longest((layer for layer in layers if layer.variables), saved)
    return [(layer, missing if found is None else found) for layer, found in pairs]


def _by_class(layers: Sequence[Weighted], root: Group) -> list[Pair]:
    """Pair layers in the format of Keras 3: the n-th of a class with the n-th of that class."""
    groups = dict(root["layers"]) if "layers" in root else {}
    has_depthwise = "depthwise_conv2d" in groups
    seen: dict[str, int] = {}
    pairs: list[Pair] = []
    for layer in layers:
        kind = _snake_case(layer.kind)
        if kind == "depthwise_conv2d" and not has_depthwise:
            kind = "conv2d"  # keras.applications' ConvNeXt has grouped convolutions instead
        number = seen[kind] = seen.get(kind, -1) + 1
        name = f"{kind}_{number}" if number else kind
        group = groups.pop(name, {})
        if layer.inner:
            pairs += _by_class(layer.inner, group)
        else:
            pairs.append((layer, (name, _arrays(group))))
    left = ((name, _arrays(group)) for name, group in groups.items())
    return pairs + [(None, (name, arrays)) for name, arrays in left if arrays]


def _difference(layer: Weighted | None, name: str, arrays: list[Any]) -> str | None:
    """Say how a layer of the network and one of the file differ, or None where they do not."""
    if layer is None:
        return f"the file also has a layer {name!r}, with {_shapes(arrays)}"
    if layer.variables and not arrays:
        return (
            f"the file has nothing for layer {layer.name!r}, which needs {_shapes(layer.variables)}"
        )
    if _shapes(arrays) != _shapes(layer.variables) and _shapes(arrays) != _grouped_shapes(layer):
        return (
            f"layer {layer.name!r} needs {_shapes(layer.variables)}, and the file has "
            f"{_shapes(arrays)} in {name!r}"
        )
    return None


def _shapes(arrays: Sequence[Any]) -> str:
    return " ".join(str(tuple(array.shape)) for array in arrays)


def _grouped_shapes(layer: Weighted) -> str | None:
    """Return the shapes that a depthwise convolution has where it is saved as a grouped one.

    The values are the same in the same order.
    """
    if layer.kind != "DepthwiseConv2D":
        return None
    (height, width, channels, multiplier), *rest = (tuple(one.shape) for one in layer.variables)
    return " ".join(map(str, ((height, width, 1, channels * multiplier), *rest)))


def _arrays(group: Group) -> list[Any]:
    values = group.get("vars", {})
    return [values[number] for number in sorted(values, key=int)]


def _names(group: Group, attribute: str) -> list[str]:
    """Return a list of names; Keras cuts lists that are too long for one HDF5 attribute."""
    parts = [group.attrs[attribute]] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{attribute}{len(parts)}"])
    return [
        name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in part
    ]


def _snake_case(name: str) -> str:
    """Turn a class name into the name Keras saves it under, as keras.src.utils.naming does."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
