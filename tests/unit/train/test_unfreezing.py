"""Which layers are tuned, and from whose map on: by the catalogue of each network."""

from __future__ import annotations

import pytest

from vista_sql import roster
from vista_sql.errors import ArgumentError, UnknownNameError
from vista_sql.train.unfreezing import IMAGE, exactly, stands_for, upward

CNNS = [name for name in roster.names() if roster.load(name).feature_layers]
every_cnn = pytest.mark.parametrize("cnn", [*map(roster.load, CNNS)], ids=CNNS)


def tops(cnn):
    return [cnn.canonical(name) for name in cnn.feature_layers]


@every_cnn
def test_what_is_tuned_and_the_head_are_computed_from_the_start_alone(cnn):
    top = tops(cnn)[-1]
    for name in tops(cnn):
        found = upward(cnn, name, top)
        if found.start == IMAGE:
            continue
        start = cnn.layer(found.start)
        assert start.name not in found.layers
        for layer in {*found.layers, top} - {start.name}:
            assert cnn.determines(start, cnn.layer(layer))


@every_cnn
def test_a_layer_and_those_behind_it_leave_out_what_lies_before(cnn):
    top = tops(cnn)[-1]
    found = upward(cnn, tops(cnn)[0], top)
    first = min(map(cnn.positions.__getitem__, found.layers))
    assert set(stands_for(cnn, cnn.layer(tops(cnn)[0]))) <= set(found.layers)
    behind = {layer.name for layer in cnn.layers[first:] if layer.parameters}
    assert set(found.layers) <= behind
    assert list(found.layers) == sorted(found.layers, key=cnn.positions.__getitem__)


@pytest.mark.parametrize(
    ("layer", "layers", "start"),
    [
        ("conv1", ("c1", "s2", "c3", "s4", "c5_map", "f6"), IMAGE),
        ("pool2", ("s4", "c5_map", "f6"), "c3"),
        ("conv3", ("c5_map", "f6"), "s4"),  # flattened, so its convolution below
        ("F6", ("f6",), "c5"),
    ],
)
def test_lenet5(layer, layers, start):
    found = upward(roster.load("lenet5"), layer, "f6")
    assert (found.layers, found.start) == (layers, start)


def test_the_end_of_a_block_stands_for_the_block():
    cnn = roster.load("resnet18")
    found = exactly(cnn, ["conv2_1", "conv5_2"], "avg_pool")
    assert [name for name in found.layers if name.endswith("conv")] == [
        f"conv{block}_{i}_conv" for block in ("2_block1", "5_block2") for i in (1, 2)
    ]
    assert found.start == "pool1_pool"


def test_what_cannot_be_tuned_is_said():
    cnn = roster.load("lenet5")
    with pytest.raises(ArgumentError, match="layer 'logits' is not below 'f6', which the head"):
        upward(cnn, "logits", "f6")
    with pytest.raises(UnknownNameError, match="layer 'conv9' in cnn 'lenet5'; did you mean 'conv"):
        exactly(cnn, ["conv1", "conv9"], "f6")


def test_without_tensorflow_one_sentence_says_what_to_install(sql, monkeypatch):
    monkeypatch.setattr(sql.planner, "can_run", lambda engine: engine != "tensorflow")
    with pytest.raises(ArgumentError, match=r"needs TensorFlow.*: pip install 'vista-sql\[cpu\]'"):
        sql.text("vista_finetune", model="m", from_model="d", images="i", unfreeze="x")
