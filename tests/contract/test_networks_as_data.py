"""A user's `.keras` file as data: the bits of what Keras loads, kept once; and what cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from keras_files import NETWORKS, SIDE, backbone, randomised, transfer
from msgspec.structs import replace
from numpy.testing import assert_array_equal
from processes import run_python
from vista_sql.udfs.network import keras_check, keras_reader, own_network
from vista_sql.udfs.network.networks import Network, open_cnn

import vista_sql
from vista_sql import files, weights
from vista_sql.errors import HostError, PlanError, WeightsError
from vista_sql.kernels import InferSpec
from vista_sql.machine import own_process
from vista_sql.weights import own_networks

# Keras 3.15 reads its own variables so when it saves them; we only read.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

every = pytest.mark.parametrize("name", NETWORKS)


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """The folder in which networks are kept; they are read in this process, which has Keras."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    reads = []

    def read(path, as_data):
        reads.append(path)
        return own_network.read(path, check=as_data)

    monkeypatch.setattr(own_network, "read_anywhere", read)
    for remembered in ("of_file", "facts"):
        monkeypatch.setattr(own_networks, remembered, getattr(own_networks, remembered).__wrapped__)
    folder = files.user_cache() / own_networks.FOLDER
    return folder, reads


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")

    @cache
    def path(name):
        randomised(NETWORKS[name]()).save(folder / f"{name}.keras")
        return str(folder / f"{name}.keras")

    return path


def pixels(cnn, n=3):
    return np.random.default_rng(0).integers(0, 256, (n, *cnn.input_shape), np.uint8)


def features(opened, engine, layers=None):
    network = Network(opened, "float32", "cpu", engine_name=engine)
    layers = [layer.name for layer in opened.cnn.layers] if layers is None else layers
    return dict(zip(layers, network.features(layers, "none", pixels(opened.cnn)), strict=True))


@every
def test_every_layer_has_the_bits_of_the_network_that_keras_loads(name, saved, cached):
    opened = open_cnn(InferSpec(saved(name), ()))
    assert opened.cnn.only_tensorflow is None
    found = features(opened, "openvino")
    for layer, values in features(replace(opened, load_data=None), "openvino").items():
        assert np.std(values) > 0, layer
        assert_array_equal(found[layer], values, err_msg=layer)


@pytest.mark.parametrize("kind", ["random", "new.weights.h5"])
def test_other_weights_have_the_bits_of_the_network_that_keras_loads(kind, cached, tmp_path):
    randomised(transfer()).save(tmp_path / "own.keras")
    if kind != "random":
        randomised(transfer(), seed=2).save_weights(tmp_path / kind)
        kind = str(tmp_path / kind)
    opened = open_cnn(InferSpec(str(tmp_path / "own.keras"), (), weights=kind, seed=3))
    found = features(opened, "openvino")
    for layer, values in features(replace(opened, load_data=None), "openvino").items():
        assert_array_equal(found[layer], values, err_msg=layer)


def test_weights_of_the_old_format_are_refused_where_their_order_is_not_known(cached, tmp_path):
    transfer().save(tmp_path / "own.keras")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = ["mixed"]
    cnn = weights.facts(str(tmp_path / "own.keras"))
    choice = weights.resolve(cnn, str(tmp_path / "old.h5"))
    with pytest.raises(
        WeightsError, match=r"'mixed', a network within .* save it as \.weights\.h5"
    ):
        weights.load_arrays(cnn, choice)


# ---- checked against Keras


def test_data_that_compute_something_else_are_found_out_by_layer(saved, cached, monkeypatch):
    path = saved("transfer")
    read = own_network.networks.parsed

    def damaged(name, text):
        assert '"epsilon": 0.001' in text
        return read(name, text.replace('"epsilon": 0.001', '"epsilon": 0.002'))

    monkeypatch.setattr(own_network.networks, "parsed", damaged)
    found = own_network.read(path, check=True)
    assert found.data is None
    assert found.only_tensorflow == "layer 'backbone/relu6', whose values as data are not Keras's"


def test_weights_that_lie_elsewhere_are_found_out_by_layer(saved, cached, monkeypatch):
    read = own_network.hdf5.read

    def other(*arguments):
        for variable, values in read(*arguments):
            yield variable, values[::-1] if variable.path == "backbone/last/kernel" else values

    monkeypatch.setattr(own_network.hdf5, "read", other)
    found = own_network.read(saved("transfer"))
    assert found.data is None
    assert found.only_tensorflow == "layer 'backbone/last', whose weights the file has elsewhere"


def test_half_precision_is_compared_with_its_own_tolerance(saved):
    model = keras_reader.keras().saving.load_model(saved("halves"))
    kinds = {layer.compute_dtype for layer in model._flatten_layers()}
    assert kinds == {"float16", "float32"}
    assert keras_check.RELATIVE["float32"] < keras_check.RELATIVE["float16"]


# ---- kept


def test_a_file_is_read_once_whatever_it_is_called(saved, cached, tmp_path):
    _, reads = cached
    first = weights.network_data(weights.facts(saved("transfer")))
    own = len(reads)
    assert own == 2  # as facts; and as data, which are checked
    other = tmp_path / "other.keras"
    other.write_bytes(Path(saved("transfer")).read_bytes())
    again = weights.network_data(weights.facts(str(other)))
    assert len(reads) == own
    assert again.steps == first.steps


@pytest.mark.parametrize("damage", ["a digit", "cut", "format", "bytes", "gone"])
def test_what_is_damaged_is_made_anew(damage, saved, cached):
    folder, reads = cached
    cnn = weights.facts(saved("transfer"))
    before = weights.network_data(cnn)
    (path,) = folder.iterdir()
    whole, n = path.read_text(), len(reads)
    assert weights.network_data(cnn).steps == before.steps
    assert len(reads) == n
    if damage == "gone":
        path.unlink()
    elif damage == "bytes":
        path.write_bytes(b"\xff\xfe\x00" + whole.encode()[3:])
    else:
        path.write_text(
            {
                "a digit": whole.replace('\\"strides\\": [2, 2]', '\\"strides\\": [3, 3]'),
                "cut": whole[: len(whole) // 2],
                "format": whole.replace("1", "0", 1),
            }[damage]
        )
        assert path.read_text() != whole
    assert weights.network_data(cnn).steps == before.steps
    assert len(reads) == n + 1
    assert path.read_text() == whole


def test_where_nothing_can_be_kept_it_works(saved, cached, tmp_path):
    (tmp_path / "cache").write_text("a file")
    cnn = weights.facts(saved("halves"))
    assert weights.network_data(cnn).steps


def test_the_latest_are_kept(cached, monkeypatch, tmp_path):
    folder, _ = cached
    monkeypatch.setattr(own_networks, "MOST_KEPT", 2)
    keras = keras_reader.keras()
    for units in (1, 2, 3):
        image = keras.Input((4, 4, 3))
        path = tmp_path / f"{units}.keras"
        keras.Model(image, keras.layers.Dense(units)(image)).save(path)
        weights.facts(str(path))
    names = {one.stem for one in folder.iterdir()}
    assert names == {weights.digests(tmp_path / f"{n}.keras").sha256 for n in (2, 3)}


# ---- what cannot be expressed


def own(tmp_path, *layers):
    keras = keras_reader.keras()
    path = tmp_path / "own.keras"
    inner = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *layers], name="inner")
    keras.Sequential([keras.Input((SIDE, SIDE, 3)), inner]).save(path)
    return str(path)


def test_a_layer_that_is_no_data_is_named_and_runs_on_tensorflow(cached, tmp_path):
    layers = keras_reader.keras().layers
    path = own(tmp_path, layers.Conv2D(2, 3, name="conv"), layers.Conv2DTranspose(2, 3, name="up"))
    opened = open_cnn(InferSpec(path, ()))
    assert opened.cnn.only_tensorflow == "layer 'inner/up' (Conv2DTranspose)"
    assert np.std(features(opened, "tensorflow")["inner/up"]) > 0
    with pytest.raises(PlanError, match=r"no engine but TensorFlow can run layer 'inner/up' "):
        features(opened, "openvino")
    with vista_sql.connect() as db:
        images = "images => '(SELECT 1 AS id, ''a'' AS image)'"
        call = f"TRANSFER(cnn => '{path}', layers => [-1], {images}"
        why = "no other engine runs layer 'inner/up' (Conv2DTranspose)"
        assert f"engine: tensorflow ({why})" in db.explain(f"SELECT * FROM {call})")
        with pytest.raises(PlanError) as caught:
            db.query(f"SELECT * FROM {call}, engine => 'openvino')")
    said = "cannot run layer 'inner/up' (Conv2DTranspose): take engine => 'tensorflow'"
    assert said in str(caught.value)


def test_an_activation_that_is_not_kerass_is_named(cached, tmp_path):
    layers = keras_reader.keras().layers
    path = own(tmp_path, layers.Conv2D(2, 3, activation=layers.ELU(), name="conv"))
    assert weights.facts(path).only_tensorflow == "layer 'inner/conv' and its activation"


def test_code_of_ones_own_runs_where_it_is_registered(cached, tmp_path):
    folder, reads = cached
    keras = keras_reader.keras()

    @keras.saving.register_keras_serializable(package="theirs")
    class Twice(keras.layers.Layer):
        def call(self, x):
            return x * 2

    path = own(tmp_path, Twice(name="twice"))
    opened = open_cnn(InferSpec(path, ()))
    assert opened.cnn.only_tensorflow == "layer 'inner/twice', which has code of its own"
    assert_array_equal(
        features(opened, "tensorflow")["inner/twice"].ravel(), 2.0 * pixels(opened.cnn).ravel()
    )
    assert not reads
    assert not folder.exists()


def test_a_lambda_is_named_and_not_run(cached, tmp_path):
    keras = keras_reader.keras()
    path = own(tmp_path, keras.layers.Lambda(lambda x: x * 2, name="why"))
    with pytest.raises(WeightsError, match=r"layer 'inner/why' has code of its own.*Lambda"):
        weights.facts(path)


@pytest.mark.parametrize("damage", ["config", "members", "weights", "nested"])
def test_hostile_archives_end_in_a_sentence(damage, saved, cached, tmp_path, monkeypatch):
    monkeypatch.setattr(own_networks, "MOST_CONFIG_BYTES", 1 << 20)
    path, there = tmp_path / "hostile.keras", {"cache"}
    with zipfile.ZipFile(saved("halves")) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    if damage == "config":  # a bomb
        parts["config.json"] = b"[" + b" " * (own_networks.MOST_CONFIG_BYTES + 1) + b"]"
    elif damage == "members":
        parts = {"../outside": b"x", "/tmp/../outside": b"x", **parts, "config.json": b"{}"}
    elif damage == "weights":
        parts["model.weights.h5"] = b"\0" * 1000
    else:
        parts["config.json"] = b"[" * 100_000
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(WeightsError, match=r"hostile\.keras cannot be loaded as a Keras network"):
        weights.facts(str(path))
    assert {one.name for one in tmp_path.iterdir()} <= there | {path.name}


FOREIGN = [
    ({"class_name": "Dense", "module": "keras.layers", "config": {"name": "a"}}, None),
    ({"class_name": "Add", "module": "keras.src.ops.numpy", "config": {"name": "a"}}, None),
    ({"class_name": "Subsampling", "registered_name": "vista_sql>Subsampling", "config": {}}, None),
    ({"class_name": "__numpy__", "config": {"value": [1]}}, None),
    (
        {"class_name": "Own", "module": None, "registered_name": "x>Own", "config": {"name": "a"}},
        "a",
    ),
    ({"class_name": "Own", "module": "keras_of_theirs", "config": {"name": "a"}}, "a"),
    (
        {
            "class_name": "Dense",
            "module": "keras.layers",
            "config": {
                "name": "a",
                "activation": {"class_name": "function", "module": "builtins", "config": "mine"},
            },
        },
        "a",
    ),
    ({"compile_config": {"class_name": "Own", "module": "theirs", "config": {}}}, None),
    ("text", None),
]


@pytest.mark.parametrize(("config", "layer"), FOREIGN)
def test_foreign_code_is_told_by_where_it_comes_from(config, layer):
    assert own_networks.foreign(config) == layer
    network = {"class_name": "Functional", "module": "keras", "config": {"name": "net"}}
    network["config"]["layers"] = [config]
    assert own_networks.foreign(network) == layer


# ---- a process of its own

BLOCKED = ("tensorflow", "keras")

CODE = """
    import subprocess, sys
    import numpy as np
    import vista_sql
    from vista_sql.kernels import InferSpec
    from vista_sql.udfs.network.networks import Network, open_cnn
    from vista_sql.weights import own_networks

    starts, run = [], subprocess.run
    subprocess.run = lambda command, **options: starts.append(command) or run(command, **options)
    for number in range(2):  # the second time as in another process
        own_networks.facts.cache_clear()
        own_networks.of_file.cache_clear()
        opened = open_cnn(InferSpec({path!r}, ()))
        network = Network(opened, "float32", "cpu", engine_name="openvino")
        layers = [layer.name for layer in opened.cnn.layers]
        values = network.features(layers, "none", np.load({folder!r} + "/pixels.npy"))
        np.savez({folder!r} + f"/{{number}}.npz", *values)
        print(sum("-m" in one for one in starts))
    with vista_sql.connect() as db:
        text = "FROM TRANSFER(cnn => '{path}', images => '(SELECT 1 AS id, ''a'' AS image)')"
        assert "engine: " in db.explain("SELECT * " + text)
    print(sum("-m" in one for one in starts))
    print([name for name in {blocked!r} if name in sys.modules])
    """


def test_a_process_without_keras_reads_a_file_in_another_once(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = saved("shared")
    opened = replace(open_cnn(InferSpec(path, ())), load_data=None)
    np.save(tmp_path / "pixels.npy", pixels(opened.cnn))
    code = CODE.format(path=path, folder=str(tmp_path), blocked=BLOCKED)
    assert run_python(tmp_path / "script.py", code, *BLOCKED) == ["1", "1", "1", "[]"]
    expected = features(opened, "openvino").values()
    for number in range(2):
        found = np.load(tmp_path / f"{number}.npz")
        for key, values in zip(found.files, expected, strict=True):
            assert_array_equal(found[key], values)


@pytest.fixture
def apart(monkeypatch):
    """Keras is not in this process, as far as is known."""
    monkeypatch.setattr(own_network, "is_here", lambda: False)


def test_where_keras_is_not_installed_the_error_says_what_it_is_for(saved, apart, monkeypatch):
    monkeypatch.setattr(own_network, "package_version", lambda name: None)
    with pytest.raises(HostError, match=r"was not used before.* pip install 'vista-sql\[cpu\]'"):
        own_network.read_anywhere(saved("halves"), False)


@pytest.mark.parametrize("error", [WeightsError, HostError])
def test_errors_of_the_process_are_those_of_its_caller(error, apart, monkeypatch):
    def answers(command, **_):
        record = {"error": error.__name__, "message": "so it is"}
        Path(command[-1]).write_text(json.dumps(record))
        return subprocess.CompletedProcess(command, 0, b"", b"")

    monkeypatch.setattr(own_process.subprocess, "run", answers)
    with pytest.raises(error, match="so it is"):
        own_network.read_anywhere("own.keras", False)


def test_a_process_that_dies_says_so(apart, monkeypatch, tmp_path):
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\necho out of memory >&2\nkill -9 $$\n")
    dying.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dying))
    with pytest.raises(WeightsError, match=r"ended with status -9 \(out of memory\)"):
        own_network.read_anywhere("own.keras", False)


def test_a_program_answers_in_a_file(saved, monkeypatch, tmp_path):
    answer = tmp_path / "answer.json"
    monkeypatch.setattr(sys, "argv", ["own_network", saved("halves"), str(answer)])
    own_network.main()
    found = own_networks.parsed(json.loads(answer.read_text())["network"], "net")
    assert found.is_checked
    monkeypatch.setattr(sys, "argv", ["own_network", str(tmp_path / "gone.keras"), str(answer)])
    own_network.main()
    assert json.loads(answer.read_text())["error"] == "WeightsError"


def test_two_networks_of_one_name_are_two(cached, tmp_path):
    path = tmp_path / "own.keras"
    found = []
    for seed in (1, 2):
        randomised(backbone(), seed).save(path)
        cnn = weights.facts(str(path))
        arrays = weights.load_arrays(cnn, weights.resolve(cnn))
        found.append(arrays["conv/kernel"])
    assert not np.array_equal(*found)
