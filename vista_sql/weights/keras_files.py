"""Read what only Keras can: networks that users saved, and files of weights for those."""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from zlib import crc32

from vista_sql.errors import WeightsError
from vista_sql.roster import Network
from vista_sql.roster.catalogue.uses import KerasNode, KerasTensor, Use, uses
from vista_sql.roster.parts.layers import custom_layers

ALIKE_IN_TRAINING = frozenset({"AutoContrast", "CenterCrop", "MaxNumBoundingBoxes", "Resizing"})
"""Keras's layers whose call says `training=True` and which do the same without."""

TRIED = 5
"""Images of which the second stays while the others change; counted from the end it is another."""


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Leave Python's global random numbers as they were: Keras draws its initial values' seeds."""
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)


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


def finish(network: Network) -> None:
    """Let layers take notice of their new values: a Normalization computes with copies of them."""
    for layer in network._flatten_layers(include_self=False):
        if layer.weights and hasattr(layer, "finalize_state"):
            layer.finalize_state()


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
    """Return `Cnn.revision` of a user's network.

    That is what of it earlier versions computed otherwise; and, where Keras computes any layer in
    another arithmetic than float32, a checksum of all layers' arithmetic, which data do not say.
    """
    found, _ = uses(network)
    inner = any(use.node is None for use in found)  # its layers are fused as those around it are
    layers = network._flatten_layers(include_self=False)
    arithmetic = [getattr(layer, "compute_dtype", "float32") for layer in layers]
    changed = {
        "inference": trains_by_default(network),
        "inner layers": inner,
        f"arithmetic {crc32(' '.join(arithmetic).encode()):08x}": {*arithmetic} != {"float32"},
    }
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

    chance = np.random.default_rng(0)
    shapes = [(TRIED, *(side or 1 for side in one.shape[1:])) for one in given]
    values = [chance.random(shape, np.float32) for shape in shapes]
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


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
