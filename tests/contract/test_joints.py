"""Joints: where networks in files may be cut in two, as at the ends of a backbone's blocks.

From a joint on bits are those of the whole network, in any arithmetic, whatever else is asked for.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import variants
from numpy.testing import assert_array_equal
from processors import DTYPES
from vista_sql.udfs.network.networks import Network, open_cnn

from vista_sql import weights
from vista_sql.kernels import InferSpec
from vista_sql.weights import kept_networks

# Keras 3.15 reads its own variables so when it saves them; we only read.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

BLOCKS = tuple(f"net/block{i}" for i in range(1, 4))
JOINTS = BLOCKS[1:]
"""The map of the first block has four values for each of the image's; nothing branches at the last.
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("joints") / "net.keras"
    variants.blocks().save(file)
    return str(file)


def test_joints_are_the_ends_of_blocks_whose_maps_are_small(path):
    cnn = weights.facts(path)
    assert cnn.joints == JOINTS
    assert cnn.stops == {*cnn.feature_layers, *JOINTS}
    assert not set(BLOCKS) & set(cnn.feature_layers), "nobody offers what lies within"


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_depend_on_no_joint(path, dtype):
    opened = open_cnn(InferSpec(path, (), engine="openvino"))
    ours = Network(opened, dtype, "cpu", engine_name="openvino")
    images = np.random.default_rng(0).integers(
        0, 256, (5, variants.SIDE, variants.SIDE, 3), dtype=np.uint8
    )
    layers = [layer.name for layer in opened.cnn.layers if layer.name in opened.cnn.stops]
    whole = dict(zip(layers, ours.features(layers, "none", images), strict=True))
    for layer in layers:
        (alone,) = ours.features([layer], "none", images)
        assert_array_equal(alone, whole[layer], layer)
    for start, layer in combinations(layers, 2):
        (values,) = ours.resume(start, [layer], "none", whole[start])
        assert_array_equal(values, whole[layer], f"{layer} from {start}")
        both = ours.run(None, [(start, "none"), (layer, "max2x2")], images)
        assert_array_equal(both[0], whole[start], f"{start} beside {layer}")


def test_what_is_kept_of_a_tuned_network_names_its_joints(path, tmp_path):
    cnn = weights.facts(path)
    file = tmp_path / "tuned.keras"
    variants.blocks(is_tuned=True).save(file)
    kept_networks.add(file, cnn, "")
    known = kept_networks.facts(kept_networks.read(str(file)))
    assert known["joints"] == JOINTS
    older = {name: value for name, value in kept_networks.read(str(file)).items()}
    del older["joints"]
    assert kept_networks.facts(older)["joints"] == ()
