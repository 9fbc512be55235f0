"""What Keras networks are read as: operations, their numbers, and the networks' variables."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import toys
from vista_sql.udfs.network import keras_reader, steps
from vista_sql.udfs.network.steps import Foreign

from vista_sql import roster
from vista_sql.errors import PlanError
from vista_sql.roster import networks


def operations(model):
    return {name: step.operation for name, step in keras_reader.read(model).steps.items()}


def test_layers_are_read_with_their_numbers():
    found = operations(toys.network("residual"))
    pad, conv = found["pad"], found["c_conv"]
    assert (pad.top, pad.bottom, pad.left, pad.right) == (2, 1, 1, 2)
    assert (conv.strides, conv.dilations, conv.padding) == ((1, 1), (2, 2), "same")
    assert conv.kernel.shape == (3, 3, 24, 24)
    assert found["short_conv"].bias is None
    assert found["max"] == steps.Pooling("max", (3, 3), (2, 2), "same")
    assert found["mean"] == steps.GlobalPool("mean")
    assert found["dropout"] == steps.Identity()
    assert found["top"].activation == "softmax"


def test_groups_and_depthwise_convolutions_are_told_apart():
    wide = operations(toys.network("inception"))["wide"]
    assert (wide.groups, wide.depthwise, wide.kernel.shape) == (2, False, (5, 5, 3, 8))
    deep = operations(toys.network("mobile"))["deep"]
    assert (deep.groups, deep.depthwise, deep.kernel.shape) == (1, True, (3, 3, 3, 1))


def test_weights_are_the_networks_own_and_read_as_arrays():
    model = toys.network("residual")
    found = operations(model)
    assert found["first_conv"].kernel is model.get_layer("first_conv").kernel
    norm = found["first_bn"]
    for weight, variable in zip(
        (norm.gamma, norm.beta, norm.mean, norm.variance),
        model.get_layer("first_bn").weights,
        strict=True,
    ):
        assert np.array_equal(np.asarray(weight), variable.numpy())


@pytest.mark.parametrize("name", roster.names())
def test_the_rosters_networks_are_wholly_data(name):
    assert [step.name for step in networks.read(name).steps if step.kind == "Foreign"] == []


def test_the_layers_of_a_network_in_a_network_are_steps():
    graph = keras_reader.read(roster.load("convnexttiny").build())
    stem = [step for name, step in graph.steps.items() if name.startswith("convnext_tiny_stem")]
    kinds = [type(step.operation).__name__ for step in stem]
    assert kinds == ["Convolution", "LayerNorm", "Identity"]
    assert stem[1].inputs == ("convnext_tiny_stem/convnext_tiny_stem_conv",)
    assert stem[2].name == "convnext_tiny_stem"


def test_what_the_data_cannot_say_is_foreign():
    keras = keras_reader.keras()
    layers = keras.layers

    class Own(layers.Conv2D):
        pass

    for layer, kind in (
        (layers.SeparableConv2D(2, 3, data_format="channels_first"), "SeparableConv2D"),
        (Own(2, 3), ""),
        (layers.Flatten(data_format="channels_first"), "Flatten"),
        (layers.LayerNormalization(axis=1), "LayerNormalization"),
        (layers.Cropping2D(1), "Cropping2D"),
    ):
        layer(keras.Input((6, 6, 3)))
        assert keras_reader.operation(layer, (4, 4, 2)) == Foreign(kind)


def test_activations_that_are_not_kerass_have_no_name():
    keras = keras_reader.keras()

    def relu(x):
        return x * 2

    for activation, name in (
        (relu, ""),
        (keras.layers.ELU(), ""),
        ("relu", "relu"),
        (None, "linear"),
    ):
        dense = keras.layers.Dense(2, activation=activation)
        dense.build((None, 3))
        assert keras_reader.operation(dense, (2,)).activation == name


def test_a_shared_layer_is_a_step_for_each_use():
    keras = keras_reader.keras()
    image = keras.Input((4, 4, 3), name="image")
    shared = keras.layers.Conv2D(3, 1, name="shared")
    graph = keras_reader.read(keras.Model(image, shared(shared(image)), name="twice"))
    assert list(graph.steps) == ["image", "shared", "shared#1"]
    assert graph.steps["shared#1"].inputs == ("shared",)
    assert graph.output == "shared#1"


def test_the_outputs_of_a_layer_of_several_are_told_apart():
    keras = keras_reader.keras()

    class Halves(keras.layers.Layer):
        def call(self, x):
            return x[..., :1], x[..., 1:]

    image = keras.Input((4, 4, 2))
    low, high = Halves(name="halves")(image)
    model = keras.Model(image, keras.layers.Subtract(name="less")([high, low]))
    graph = keras_reader.read(model)
    assert graph.steps["halves"].shape is None
    assert graph.steps["less"].origin.output_places == (1, 0)


def test_networks_of_several_inputs_are_refused():
    keras = keras_reader.keras()
    images = [keras.Input((4, 4, 3)), keras.Input((4, 4, 3))]
    model = keras.Model(images, keras.layers.Add()(images), name="pair")
    with pytest.raises(PlanError, match="network 'pair' must be functional and have one input"):
        keras_reader.read(model)


def test_every_operation_can_come_from_keras():
    read = {type(one) for name in toys.TOYS for one in operations(toys.network(name)).values()}
    for name in ("lenet5", "alexnet", "efficientnetb0", "convnexttiny"):
        read |= {type(one) for one in operations(roster.load(name).build()).values()}
    assert read == set(get_args(steps.Operation)) - {Foreign, steps.Crop}
