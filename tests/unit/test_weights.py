"""Which weights are chosen, what is checked, which file formats load, and what the errors say."""

from __future__ import annotations

import hashlib
import random
import urllib.request
import zipfile
from functools import cache
from urllib.error import URLError

import h5py
import numpy as np
import pytest
from keras_files import write_old_format
from loading import load
from msgspec.structs import replace
from numpy.testing import assert_array_equal

from vista_sql import roster, weights
from vista_sql.errors import UnknownNameError, WeightsError
from vista_sql.roster import WeightsFile

LENET = roster.load("lenet5")

# Keras 3.15 reads its own variables so when it saves them; we only read.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def random_network(name, seed=0):
    return load(name, "random", seed)


@cache
def lenet():
    return random_network("lenet5", seed=1)


def assert_same_weights(network, expected):
    for mine, other in zip(network.weights, expected.weights, strict=True):
        assert_array_equal(mine, other)


# ---- choosing


def test_bundled_weights_are_lenet5s_default():
    choice = weights.resolve(LENET)
    assert choice == weights.resolve(LENET, "BUNDLED", seed=9)
    assert choice.kind == "bundled"
    assert choice.identity == LENET.weights["bundled"].sha256
    assert weights.available(LENET) == ("bundled", "random")


def test_random_weights_are_known_by_their_seed():
    choice = weights.resolve(roster.load("vgg16"), "random", seed=4)
    assert (choice.kind, choice.path, choice.identity) == ("random", None, "random:4")


def test_a_file_is_known_by_its_sha256(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.weights.h5").write_bytes(b"one")
    first = weights.resolve(LENET, "my.weights.h5")
    assert (first.kind, first.path) == ("file", str(tmp_path / "my.weights.h5"))
    assert first.identity == hashlib.sha256(b"one").hexdigest()
    (tmp_path / "my.weights.h5").write_bytes(b"another")
    assert weights.resolve(LENET, "my.weights.h5").identity != first.identity


def test_unknown_names_offer_the_known_ones(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'imagenet'"):
        weights.resolve(roster.load("resnet50"), "imagenett")
    with pytest.raises(UnknownNameError, match="there is: bundled, random"):
        weights.resolve(LENET, "coco")


def test_a_missing_or_strange_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights file .*gone\.h5"):
        weights.resolve(LENET, str(tmp_path / "gone.h5"))
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(WeightsError, match=r"a\.txt' is none of \.weights\.h5, \.h5"):
        weights.resolve(LENET, str(tmp_path / "a.txt"))


def test_alexnet_says_that_nobody_publishes_its_weights():
    message = "AlexNet has no published Keras weights; give weights => the path of a file"
    for asked in (None, "imagenet"):
        with pytest.raises(WeightsError, match=message):
            weights.resolve(roster.load("alexnet"), asked)


# ---- published files


def test_imagenet_without_file_or_network_says_what_goes_where(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        weights.resolve(roster.load("resnet50"))
    message = str(caught.value)
    for part in (
        "resnet50_weights_tf_dim_ordering_tf_kernels.h5 (md5 2cb95161c43110f7111970584f804107",
        f"into {tmp_path / 'models'}",
        "weights => 'random'",
        "no network",
    ):
        assert part in message
    assert "\n" not in message
    assert weights.available(roster.load("resnet50")) == ("random",)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A CNN whose 'imagenet' weights are published as a file of this test's folder."""
    source = tmp_path / "server" / "vgg.h5"
    source.parent.mkdir()
    source.write_bytes(b"weights")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    file = WeightsFile("vgg.h5", source.as_uri(), None, hashlib.md5(b"weights").hexdigest())
    return replace(roster.load("vgg16"), weights={"imagenet": file})


def test_published_weights_are_fetched_once_and_kept(published, tmp_path):
    choice = weights.resolve(published)
    assert (choice.kind, choice.path) == ("imagenet", str(tmp_path / "home" / "models" / "vgg.h5"))
    (tmp_path / "server" / "vgg.h5").unlink()
    assert weights.resolve(published) == choice
    assert weights.available(published) == ("imagenet", "random")
    assert [path.name for path in weights.keras_folder().iterdir()] == ["vgg.h5"]


def test_a_download_that_is_another_file_is_not_kept(published, tmp_path):
    (tmp_path / "server" / "vgg.h5").write_bytes(b"an error page")
    with pytest.raises(WeightsError, match="another checksum than was published"):
        weights.resolve(published)
    assert list(weights.keras_folder().iterdir()) == []


def test_a_file_with_another_checksum_is_refused(published):
    weights.keras_folder().mkdir(parents=True)
    (weights.keras_folder() / "vgg.h5").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"not the file published .* remove it and fetch file:"):
        weights.resolve(published)


def test_bundled_weights_are_checked():
    file = replace(LENET.weights["bundled"], sha256="0" * 64)
    with pytest.raises(WeightsError, match=f"which has sha256 {'0' * 64}"):
        weights.resolve(replace(LENET, weights={"bundled": file}))


# ---- the bundled network


def test_the_bundled_lenet5_reads_digits_zero_to_four():
    cv2 = pytest.importorskip("cv2")
    from sklearn.datasets import load_digits

    digits = load_digits()
    known = digits.target < 5
    scans = np.rint(digits.images[known] * (255 / 16)).astype(np.uint8)
    pixels = np.stack([cv2.resize(scan, (32, 32)) for scan in scans])[..., None].astype(np.float32)
    mean, scale = LENET.preprocessing.mean[0], LENET.preprocessing.scale[0]
    network = weights.load_network(LENET, weights.resolve(LENET))
    guesses = np.argmax(network((pixels - mean) * scale), axis=1)
    assert np.mean(guesses == digits.target[known]) > 0.99  # four fifths of these were trained on


# ---- random weights


def test_random_weights_are_the_same_everywhere_and_leave_global_state_alone():
    before = random.getstate(), np.random.get_state()[1].tolist()
    network = random_network("lenet5", seed=7)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    kernel = np.asarray(network.get_layer("c1").kernel)
    # written down once: another process, machine or version must draw the same bits
    assert hashlib.sha256(kernel.tobytes()).hexdigest()[:16] == "fdcc597121949841"
    assert np.abs(kernel).max() <= (3 / 25) ** 0.5
    assert_same_weights(random_network("lenet5", seed=7), network)
    assert not np.array_equal(random_network("lenet5", seed=8).get_layer("c1").kernel, kernel)


# ---- file formats


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_files_that_keras_saves_load(tmp_path, suffix):
    path = tmp_path / f"lenet{suffix}"
    (lenet().save if suffix == ".keras" else lenet().save_weights)(path)
    assert_same_weights(load(LENET, path), lenet())


@pytest.mark.parametrize("names_at_once", [1000, 4])
def test_files_of_the_old_format_load(tmp_path, names_at_once):
    write_old_format(lenet(), tmp_path / "lenet.h5", names_at_once)
    assert_same_weights(load(LENET, tmp_path / "lenet.h5"), lenet())


def test_weights_of_another_network_name_the_first_layer_at_odds(tmp_path):
    path = tmp_path / "lenet.weights.h5"
    lenet().save_weights(path)
    with pytest.raises(WeightsError) as caught:
        load(roster.load("alexnet"), path)
    assert str(caught.value) == (
        f"weights file {path} is not of alexnet: layer 'conv1' needs (11, 11, 3, 96) (96,), and "
        "the file has (5, 5, 1, 6) (6,) in 'conv2d'"
    )
    write_old_format(lenet(), tmp_path / "lenet.h5")
    with pytest.raises(WeightsError, match=r"is not of alexnet: layer 'conv1' needs .* in 'c1'"):
        load(roster.load("alexnet"), tmp_path / "lenet.h5")


@pytest.mark.parametrize("old", [False, True])
def test_a_layer_too_many_or_too_few_is_an_error(tmp_path, old):
    import keras

    top = keras.layers.Dense(3, name="more")(lenet().output)
    path = tmp_path / ("w.h5" if old else "w.weights.h5")
    for changed, message in (
        (
            keras.Model(lenet().input, top),
            r"the file also has a layer '\w+', with \(10, 3\) \(3,\)",
        ),
        (keras.Model(lenet().input, lenet().get_layer("f6").output), "nothing for layer 'logits'"),
    ):
        if old:
            write_old_format(changed, path)
        else:
            changed.save_weights(path)
        with pytest.raises(WeightsError, match=message):
            load(LENET, path)


@pytest.mark.parametrize("damage", ["cut", "text", "empty archive", "no weights in it"])
def test_a_damaged_file_is_said_to_be_damaged(tmp_path, damage):
    path = tmp_path / ("w.keras" if "archive" in damage else "w.weights.h5")
    if damage == "cut":
        lenet().save_weights(path)
        path.write_bytes(path.read_bytes()[:50_000])
    elif damage == "text":
        path.write_text("<html>not found</html>")
    elif damage == "empty archive":
        zipfile.ZipFile(path, "w").close()
    else:
        h5py.File(path, "w").close()
    with pytest.raises(WeightsError, match=r"damaged|the file has nothing for layer 'c1'"):
        load(LENET, path)


# ---- a user's own network


@pytest.fixture(scope="module")
def own_file(tmp_path_factory):
    import keras
    from keras import layers

    network = keras.Sequential(
        [
            keras.Input((24, 20, 3)),
            layers.Rescaling(1 / 255, name="scale"),
            layers.Conv2D(8, 3, name="conv"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dense(4, activation="softmax", name="top"),
        ],
        name="own",
    )
    path = tmp_path_factory.mktemp("own") / "own.keras"
    network.save(path)
    return path, network


def test_a_keras_file_is_a_cnn(own_file):
    path, network = own_file
    cnn = weights.facts(str(path))
    assert cnn is weights.from_keras_file(str(path))
    assert (cnn.name, cnn.title, cnn.input_shape) == (str(path), "own", (24, 20, 3))
    assert [(layer.name, layer.shape) for layer in cnn.layers] == [
        ("scale", (24, 20, 3)),
        ("conv", (22, 18, 8)),
        ("mean", (8,)),
        ("top", (4,)),
    ]
    assert cnn.feature_layers == cnn.counted_layers == ("conv", "top")
    assert cnn.layer("TOP").flops == 2 * (22 * 18 * 9 * 3 * 8 + 8 * 4)
    assert (cnn.preprocessing.order, cnn.preprocessing.mean) == ("rgb", (0.0, 0.0, 0.0))
    choice = weights.resolve(cnn)
    assert (choice.kind, choice.path) == ("file", str(path))
    assert choice.identity == hashlib.sha256(path.read_bytes()).hexdigest()
    loaded = weights.load_network(str(path), choice)
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 24, 20, 3)).astype(np.float32)
    assert_array_equal(loaded(pixels), network(pixels))


def test_a_keras_file_takes_other_weights(own_file, tmp_path):
    path, network = own_file
    cnn = weights.facts(str(path))
    other = weights.load_network(cnn, weights.resolve(cnn, "random", seed=2))
    (tmp_path / "own.keras").write_bytes(path.read_bytes())
    again = tmp_path / "more" / "own.keras"
    again.parent.mkdir()
    other.save(again)
    identities = [
        weights.resolve(weights.facts(str(one)), "random", seed=2).identity
        for one in (path, tmp_path / "own.keras", again)
    ]
    assert identities[0] == identities[1] != identities[2]  # which is another network of its name
    assert not np.array_equal(other.get_layer("top").kernel, network.get_layer("top").kernel)
    network.save_weights(tmp_path / "same.weights.h5")
    assert_same_weights(load(cnn, tmp_path / "same.weights.h5"), network)
    other.save_weights(tmp_path / "other.weights.h5")
    assert_same_weights(load(cnn, tmp_path / "other.weights.h5"), other)
    lenet().save_weights(tmp_path / "lenet.weights.h5")
    with pytest.raises(WeightsError, match=r"lenet\.weights\.h5 does not fit .*own\.keras"):
        load(cnn, tmp_path / "lenet.weights.h5")


def test_a_saved_roster_network_is_a_cnn_too(tmp_path):
    path = tmp_path / "mine.keras"
    lenet().save(path)
    cnn = weights.facts(str(path))
    assert cnn.layers == LENET.layers
    assert cnn.preprocessing.order == "gray"
    assert_same_weights(weights.load_network(cnn, weights.resolve(cnn)), lenet())


def test_a_keras_file_that_cannot_be_used_says_why(tmp_path):
    import keras

    with pytest.raises(WeightsError, match=r"there is no file .*gone\.keras"):
        weights.facts(str(tmp_path / "gone.keras"))
    (tmp_path / "text.keras").write_text("hello")
    with pytest.raises(WeightsError, match=r"text\.keras cannot be loaded as a Keras network"):
        weights.facts(str(tmp_path / "text.keras"))
    image = keras.Input((None, None, 3))
    keras.Model(image, keras.layers.Conv2D(2, 1)(image)).save(tmp_path / "loose.keras")
    with pytest.raises(WeightsError, match=r"takes \[\(None, None, None, 3\)\]; needed is one"):
        weights.facts(str(tmp_path / "loose.keras"))
