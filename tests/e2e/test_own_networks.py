"""A user's own network under whole statements: layers of its backbone, and operations, by name."""

from __future__ import annotations

import pytest
from inferences import Count, N, images_db
from vista_sql.udfs.network import keras_reader

from vista_sql.errors import UnknownNameError

# Keras 3.15 reads its own variables so when it saves them; we only read.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

LAYERS = (
    *("backbone/conv", "backbone/norm", "backbone/relu6", "backbone/multiply"),
    *("backbone/deep", "backbone", "top"),
)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    keras = keras_reader.keras()
    keras.utils.clear_session()  # operations that are no layers have the names of a fresh process
    layers = keras.layers
    x = image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(6, name="relu6")(x)
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="deep")(x * 0.5)
    backbone = keras.Model(image, x, name="backbone")
    head = [layers.GlobalAveragePooling2D(name="mean"), layers.Dense(3, name="top")]
    augmented = [keras.Input((16, 16, 3)), layers.Rescaling(1 / 255), layers.RandomFlip()]
    path = tmp_path_factory.mktemp("own") / "own.keras"
    keras.Sequential([*augmented, backbone, *head]).save(path)
    return path


@pytest.fixture(params=["query", "attach"])
def run(request, tmp_path):
    with images_db(tmp_path, request.param) as session:
        yield Count(session)


def call(network, *layers, **arguments):
    """Return a statement that asks for layers of all images: names, or places from the top."""
    shown = "".join(f", {name} => {value}" for name, value in arguments.items())
    return f"SELECT * FROM TRANSFER(cnn => '{network}', layers => {list(layers)}{shown})"


def test_layers_are_listed(network, run):
    text = (
        "SELECT layer, index_from_top, is_feature_layer, shape, dims, pooled_dims, "
        f"round(gflops_cumulative * 1e9) FROM VISTA_LAYERS('{network}')"
    )
    found = {row[0]: row[1:] for row in run.db.run(text).fetchall()}
    conv = 2 * 14 * 14 * 8 * 27
    deep = conv + 2 * 6 * 6 * 4 * 72
    assert set(LAYERS) <= set(found)
    assert found["backbone/conv"] == (None, False, [14, 14, 8], 1568, 32, conv)
    assert found["backbone/deep"] == (None, False, [6, 6, 4], 144, 16, deep)
    assert found["backbone"] == (-2, True, [6, 6, 4], 144, 16, deep)
    assert found["top"] == (-1, True, [3], 3, 3, deep + 24)


def test_no_plan_changes_a_bit(network, run):
    want = run(call(network, *LAYERS, store="false"))
    assert len(want) == N
    for plan in ("fused", "staged", "eager", "lazy"):
        assert run(call(network, *LAYERS, plan=f"'{plan}'", store="false")) == want, plan
    alone = [run(call(network, layer, store="false")) for layer in LAYERS]
    assert [row[1:-1] for row in want] == [
        tuple(values for _, values, _ in row) for row in zip(*alone, strict=True)
    ]
    top = run(call(network, -1, -2, store="false"))
    assert [(row[1], row[2]) for row in top] == [(row[-2], row[-3]) for row in want]


def test_layers_above_start_from_a_map_within_the_backbone(network, tmp_path):
    with images_db(tmp_path, "query") as session:  # what is planned whole knows the store
        run = Count(session)
        want = run(call(network, *LAYERS[4:], store="false"))
        session.query(f"FROM VISTA_MATERIALIZE('{network}', 'backbone/relu6')").fetchall()
        assert run(call(network, *LAYERS[4:])) == want
        assert (run.images_inferred, run.images_resumed) == (N, N)
        assert run(call(network, *LAYERS[4:])) == want
        assert (run.images_inferred, run.images_from_store) == (0, N)


def test_a_map_that_the_network_does_not_use_is_no_start(network, run):
    """The batch norm is folded into the convolution, whose own values nothing goes on with."""
    want = run(call(network, "top", store="false"))
    run.db.run(f"FROM VISTA_MATERIALIZE('{network}', 'backbone/conv')").fetchall()
    assert run(call(network, "top")) == want
    assert run.images_resumed == 0


def test_the_end_of_a_name_is_enough_for_an_offer(network, run):
    with pytest.raises(UnknownNameError, match="did you mean 'backbone/deep'"):
        run.db.query(call(network, "deep"))
