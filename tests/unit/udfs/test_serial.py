"""What is kept of a network as data, and what comes back from it."""

from __future__ import annotations

import numpy as np
from vista_sql.udfs.network import keras_data, keras_reader, serial
from vista_sql.udfs.network.steps import Convolution, Foreign, Rescale, Standardize

from vista_sql.roster import networks


def kept(model):
    text = networks.written(keras_data.network_data(model, "net"))
    return networks.parsed("net", text)


def graph_of(network, model):
    values = [np.asarray(one, np.float32) for one in model.weights]
    paths = [variable.path for variable in network.variables]
    return serial.graph(network, dict(zip(paths, values, strict=True)))


def test_layers_used_twice_and_networks_within_keep_their_weights():
    layers = keras_reader.keras().layers
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    inner = keras_reader.keras().Sequential([layers.Conv2D(4, 1, name="one")], name="inner")
    image = keras_reader.keras().Input((8, 8, 3))
    model = keras_reader.keras().Model(image, inner(shared(shared(image))))
    network = kept(model)
    assert [(one.name, len(one.inner)) for one in network.layers] == [("shared", 0), ("inner", 1)]
    steps = graph_of(network, model).steps
    assert list(steps) == ["image", "shared", "shared#1", "inner/one", "inner"]
    first, second = steps["shared"].operation, steps["shared#1"].operation
    assert isinstance(first, Convolution)
    assert isinstance(second, Convolution)
    assert first.kernel is second.kernel
    one = steps["inner/one"].operation
    assert isinstance(one, Convolution)
    np.testing.assert_array_equal(one.kernel, inner.get_layer("one").kernel)


def test_numbers_that_are_no_weights_are_kept_exactly():
    layers = keras_reader.keras().layers
    image = keras_reader.keras().Input((4, 4, 3))
    third = layers.Rescaling(1 / 3, offset=[0.1, 0.2, 0.3], name="third")(image)
    known = layers.Normalization(mean=[1.1, 2, 3], variance=[4, 5, 6], name="known")(third)
    learned = layers.Normalization(name="learned")(known)
    model = keras_reader.keras().Model(image, learned)
    own, found = keras_reader.read(model).steps, graph_of(kept(model), model).steps
    for name, kind in (("third", Rescale), ("known", Standardize), ("learned", Standardize)):
        mine, other = found[name].operation, own[name].operation
        assert isinstance(mine, kind)
        for field in ("scale", "offset") if kind is Rescale else ("mean", "variance"):
            ours, theirs = getattr(mine, field), np.asarray(getattr(other, field))
            np.testing.assert_array_equal(ours, theirs, strict=True)


def test_what_data_cannot_say_is_kept_by_its_kind():
    layers = keras_reader.keras().layers
    image = keras_reader.keras().Input((8, 8, 3))
    up = layers.Conv2DTranspose(2, 3, name="up")(image)
    model = keras_reader.keras().Model(image, layers.Flatten(name="flat")(up))
    network = kept(model)
    assert [variable.path for variable in network.variables] == ["up/kernel", "up/bias"]
    steps = graph_of(network, model).steps
    assert steps["up"].operation == Foreign("Conv2DTranspose")
    assert steps["up"].shape == (10, 10, 2)
