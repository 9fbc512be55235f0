"""Put weights into a Keras network from any of Keras's file formats."""

from __future__ import annotations

import inspect
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import zip_longest
from typing import Any, TypeAlias

from vista_sql.errors import WeightsError
from vista_sql.roster import Network
from vista_sql.roster.catalogue.uses import KerasLayer, KerasNode, KerasTensor, Use, uses
from vista_sql.roster.parts.layers import custom_layers

Group: TypeAlias = Any  # of an HDF5 file
Saved: TypeAlias = tuple[str, list[Any]]  # a layer's name in the file, its arrays in order
Pair: TypeAlias = tuple[KerasLayer | None, Saved]

ALIKE_IN_TRAINING = frozenset({"AutoContrast", "CenterCrop", "MaxNumBoundingBoxes", "Resizing"})
"""Keras's layers whose call says `training=True` and which do the same without."""

TRIED = 5
"""Images of which the second stays while the others change; counted from the end it is another."""


def fill(network: Network, cnn: str, path: str) -> None:
    """Give every layer of a roster network its values from a file, all of them or none.

    Layers are matched as Keras matches them: by position in the old format (`.h5`), by class and
    number in the new one (`.weights.h5`, `.keras`). Unlike Keras, a layer too many is an error.

    Raises:
        WeightsError: the file is damaged or of another network.
    """
    import numpy as np

    weighted = [layer for layer in network.layers if layer.weights]
    with _hdf5(path, cnn) as file:
        root = file.get("model_weights", file)
        pairs = _by_position(weighted, root) if _is_old(root) else _by_class(network, root)
        for layer, (name, arrays) in pairs:
            if difference := _difference(layer, name, arrays):
                raise WeightsError(f"weights file {path} is not of {cnn}: {difference}")
        for layer, (_, arrays) in pairs:
            for variable, array in zip(layer.weights if layer else (), arrays, strict=True):
                variable.assign(np.asarray(array).reshape(variable.shape))
            if finish := getattr(layer, "finalize_state", None):
                finish()  # a Normalization computes with copies of its variables


def fill_by_keras(network: Network, cnn: str, path: str) -> None:
    """Give a user's own network its values from a separate file, as Keras loads it.

    Raises:
        WeightsError: Keras cannot load the file into this network.
    """
    try:
        network.load_weights(path)
    except Exception as error:  # Keras raises many types; all of them mean that
        raise WeightsError(
            f"weights file {path} does not fit {cnn}: {_first_line(error)}"
        ) from error


def read_network(path: str) -> Network:
    """Load a `.keras` file as a functional network of one image input.

    Raises:
        WeightsError: the file is damaged, does not hold such a network, or one that computes over
            the images of a batch.
    """
    import keras

    custom_layers()  # so that networks of the roster load by class name
    try:
        network = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises many types; all of them mean that
        raise WeightsError(
            f"{path} cannot be loaded as a Keras network: {_first_line(error)}"
        ) from error
    shapes = [tuple(tensor.shape) for tensor in getattr(network, "inputs", None) or ()]
    if (
        len(shapes) != 1
        or len(shapes[0]) != 4
        or None in shapes[0][1:]
        or shapes[0][3] not in (1, 3)
    ):
        raise WeightsError(
            f"the network in {path} takes {shapes or 'inputs of unknown shape'}; needed is one "
            "input (None, height, width, channels) of fixed size with 1 or 3 channels"
        )
    # However it was put together, it now takes one tensor: not a list or a dictionary of one.
    (image,), outputs = network.inputs, network.outputs
    network = keras.Model(image, outputs[0] if len(outputs) == 1 else outputs, name=network.name)
    if (mixing := images_are_mixed_by(network)) is not None:
        raise WeightsError(
            f"the network in {path} cannot give features of an image: {mixing!r} computes over the "
            "images of a batch; let it compute over axes of each image (axis 1 and above)"
        )
    return network


def revision(network: Network) -> str:
    """Return `Cnn.revision` of a user's network: what of it earlier versions computed otherwise."""
    found, _ = uses(network)
    inner = any(use.node is None for use in found)  # its layers are fused as those around it are
    changed = {"inference": trains_by_default(network), "inner layers": inner}
    return ", ".join(name for name, applies in changed.items() if applies)


def trains_by_default(network: Network) -> bool:
    """Return whether a layer, at any depth, does what it does in training unless told otherwise.

    Augmentations do, and layers that were called with `training=True`.
    """
    for layer in network._flatten_layers(include_self=False):
        if type(layer).__name__ in ALIKE_IN_TRAINING:
            continue
        argument = inspect.signature(layer.call).parameters.get("training")
        if argument is not None and argument.default is True:
            return True
        if any(node.arguments.kwargs.get("training") for node in layer._inbound_nodes):
            return True
    return False


def images_are_mixed_by(network: Network) -> str | None:
    """Return the first use in which one image's values depend on another's; None: there is none.

    Tried out on operations that are no layers, and on layers along the axis of the batch. Such are
    `ops.mean(x)` and `ops.flip(x, axis=0)`.
    """
    import keras

    found, _ = uses(network)
    outputs = {use.name: use.outputs for use in found}
    for use in found:
        if use.node is None or not use.inputs or not _may_mix(use):
            continue
        given = [outputs[name][place] for name, place in use.inputs]
        with keras.device("cpu:0"):
            if not _keeps_images_apart(use.node, given):
                return use.name
    return None


def _may_mix(use: Use) -> bool:
    import keras

    axis = getattr(use.layer, "axis", None)
    axes = axis if isinstance(axis, list | tuple) else [axis]
    first = {0, -len(use.outputs[0].shape)}
    return not isinstance(use.layer, keras.layers.Layer) or any(one in first for one in axes)


def _keeps_images_apart(node: KerasNode, given: Sequence[KerasTensor]) -> bool:
    """Return whether an image's results are the same beside any other images."""
    import keras
    import numpy as np

    random = np.random.default_rng(0)
    shapes = [(TRIED, *(side or 1 for side in one.shape[1:])) for one in given]
    values = [random.random(shape, np.float32) for shape in shapes]
    alone = [value.copy() for value in values]
    for value in alone:
        value[np.arange(TRIED) != 1] = 0
    found = []
    for tried in (values, alone):
        tensors = {
            id(own): keras.ops.convert_to_tensor(value, own.dtype)
            for own, value in zip(node.input_tensors, tried, strict=True)
        }
        args, kwargs = node.arguments.fill_in(tensors)
        try:
            results = keras.tree.flatten(node.operation(*args, **kwargs))
        except Exception:  # of any type: it does not take so many images
            return False
        found.append([np.asarray(one) for one in results])
    return all(
        one.shape[:1] == (TRIED,) and np.allclose(one[1], other[1], equal_nan=True)
        for one, other in zip(*found, strict=True)
    )


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


def _by_position(layers: list[KerasLayer], root: Group) -> list[Pair]:
    """Pair layers in the format of Keras 1 and 2: the n-th that has weights with the n-th."""
    saved: list[Saved] = []
    for name in _names(root, "layer_names"):
        if arrays := [root[name][weight] for weight in _names(root[name], "weight_names")]:
            saved.append((name, arrays))
    missing: Saved = ("", [])
    pairs = zip_longest(layers, saved)
    return [(layer, missing if found is None else found) for layer, found in pairs]


def _by_class(network: Network, root: Group) -> list[Pair]:
    """Pair layers in the format of Keras 3: the n-th of a class with the n-th of that class."""
    groups = dict(root["layers"]) if "layers" in root else {}
    has_depthwise = "depthwise_conv2d" in groups
    seen: dict[str, int] = {}
    pairs: list[Pair] = []
    for layer in network.layers:
        kind = _snake_case(type(layer).__name__)
        if kind == "depthwise_conv2d" and not has_depthwise:
            kind = "conv2d"  # keras.applications' ConvNeXt has grouped convolutions instead
        number = seen[kind] = seen.get(kind, -1) + 1
        name = f"{kind}_{number}" if number else kind
        group = groups.pop(name, {})
        if getattr(layer, "layers", None):
            pairs += _by_class(layer, group)
            continue
        arrays = _arrays(group)
        if layer.weights or arrays:
            pairs.append((layer, (name, arrays)))
    left = ((name, _arrays(group)) for name, group in groups.items())
    return pairs + [(None, (name, arrays)) for name, arrays in left if arrays]


def _difference(layer: KerasLayer | None, name: str, arrays: list[Any]) -> str | None:
    """Say how a layer of the network and one of the file differ, or None where they do not."""
    if layer is None:
        return f"the file also has a layer {name!r}, with {_shapes(arrays)}"
    if not arrays:
        return (
            f"the file has nothing for layer {layer.name!r}, which needs {_shapes(layer.weights)}"
        )
    if _shapes(arrays) != _shapes(layer.weights) and _shapes(arrays) != _grouped_shapes(layer):
        return (
            f"layer {layer.name!r} needs {_shapes(layer.weights)}, and the file has "
            f"{_shapes(arrays)} in {name!r}"
        )
    return None


def _shapes(arrays: list[Any]) -> str:
    return " ".join(str(tuple(array.shape)) for array in arrays)


def _grouped_shapes(layer: KerasLayer) -> str | None:
    """Return the shapes that a depthwise convolution has where it is saved as a grouped one.

    The values are the same in the same order.
    """
    if type(layer).__name__ != "DepthwiseConv2D":
        return None
    (height, width, channels, multiplier), *rest = (tuple(one.shape) for one in layer.weights)
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
