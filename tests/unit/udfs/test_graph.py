"""What runs as one operation, where a network may be cut, and that knowing it takes no engine."""

from __future__ import annotations

import described
import pytest
from processes import run_python
from toys import lowered
from vista_sql.udfs.network.graph import Graph
from vista_sql.udfs.network.steps import (
    Activate,
    Add,
    BatchNorm,
    Convolution,
    Dense,
    Image,
    Pad,
    Step,
)

from vista_sql.errors import PlanError, UnknownNameError


def test_a_network_as_data_is_understood_where_no_engine_is_installed(tmp_path):
    program = f"""
        sys.path[:0] = {[str(described.__file__).rpartition("/")[0]]!r}
        import described
        graph = described.graph()
        print(graph.cuts)
        for group in graph.groups:
            print(group.pad, group.members, group.activation)
        print(graph.order(["top"], "relu6"))
        print(sorted(name for name in ("tensorflow", "keras") if name in sys.modules))
        """
    lines = run_python(tmp_path / "script.py", program, "tensorflow", "keras", "openvino")
    assert lines == [
        "('image', 'relu', 'relu6', 'pool', 'flat', 'top')",
        "pad ('low', 'norm', 'relu') relu",
        "None ('high', 'sum', 'relu6') relu6",
        "None ('top',) ",
        "['pool', 'flat', 'top']",
        "[]",
    ]


W = described.WEIGHTS


def core(**options):
    """A graph of a padded convolution with a norm behind it."""
    maps = (described.SIDE, described.SIDE, described.FILTERS)
    norm = BatchNorm(W["mean"], W["variance"], None, None, 1e-3)
    steps = (
        Step("image", Image(), (), (described.SIDE, described.SIDE, described.CHANNELS)),
        Step("pad", Pad(1, 1, 1, 1), ("image",), (9, 9, described.CHANNELS)),
        Step("core", Convolution(W["low"], None, **options), ("pad",), maps),
        Step("norm", norm, ("core",), maps),
    )
    return Graph("core", steps, "norm").groups


def test_only_a_plain_convolution_takes_in_padding_and_norm():
    assert [(g.pad, g.norm) for g in core()] == [("pad", "norm")]
    assert [(g.pad, g.norm) for g in core(padding="same")] == [(None, "norm")]
    assert [(g.pad, g.norm) for g in core(activation="relu")] == [("pad", None)]
    assert core(depthwise=True) == ()  # of several multipliers
    assert core(depthwise=True, strides=(1, 2)) == ()


def test_a_layer_used_twice_ends_its_group():
    maps = (5, 5, described.FILTERS)
    steps = (
        Step("image", Image(), (), maps),
        Step("high", Convolution(W["high"], None), ("image",), maps),
        Step("relu", Activate("relu"), ("high",), maps),
        Step("sum", Add(), ("high", "relu"), maps),
        Step("top", Dense(W["high"][0, 0], None), ("sum",), maps),  # over maps: no core
    )
    graph = Graph("twice", steps, "top")
    assert [group.members for group in graph.groups] == [("high",)]
    assert graph.cuts == ("image", "high", "sum", "top")


def test_steps_of_several_outputs_are_no_layers():
    steps = (Step("image", Image(), (), (2, 2, 1)), Step("two", Activate(""), ("image",), None))
    graph = Graph("several", steps, "two")
    assert graph.cuts == ("image",)
    with pytest.raises(UnknownNameError, match="'two' in network 'several'"):
        graph.check("two")


def test_convolutions_take_in_what_follows_them():
    groups = {group.core: group for group in lowered("residual").graph.groups}
    assert groups["first_conv"].pad == "pad"
    assert groups["first_conv"].members == ("first_conv", "first_bn", "first_relu")
    assert groups["b_conv"].members == ("b_conv", "b_bn", "add", "block")
    assert groups["b_conv"].other == "short_bn"
    assert groups["short_conv"].members == ("short_conv", "short_bn")
    assert groups["c_conv"].other == "block"


def test_cuts_are_what_every_path_passes():
    assert lowered("residual").graph.cuts == (
        "image", "first_relu", "block", "block2", "max", "mean", "dropout", "top",
    )  # fmt: skip
    assert lowered("inception").graph.cuts[:3] == ("image", "stem", "joined")


@pytest.mark.parametrize(
    ("start", "layer", "why"),
    [
        ("a_relu", "block", "not every path from the image to 'block' passes 'a_relu'"),
        ("short_bn", "top", "not every path"),
        ("first_conv", "first_relu", "the batch norm after it is folded into 'first_conv'"),
        ("top", "block", "not every path"),
    ],
)
def test_illegal_starts_name_the_nearest_legal_one(start, layer, why):
    with pytest.raises(PlanError, match=why) as found:
        lowered("residual").check_start(start, [layer])
    nearest = str(found.value).rpartition("start from ")[2].strip("'")
    if nearest != "the image":
        lowered("residual").check_start(nearest, [layer])
    assert "\n" not in str(found.value)
