"""Compiled models on disk: the same bits, no weights read, nothing damaged believed."""

from __future__ import annotations

import gc
import os

import numpy as np
import pytest
from vista_sql.udfs.network.engines.openvino import kept
from vista_sql.udfs.network.networks import Network, open_cnn

from vista_sql import files, weights
from vista_sql.kernels import InferSpec

SPEC = InferSpec("mobilenetv2", ("out_relu",), weights="random", engine="openvino")
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "user_cache", lambda: tmp_path)
    return tmp_path / "compiled"


def features(layers=SPEC.layers):
    network = Network(open_cnn(SPEC), "float32", "cpu", 2, "openvino")
    found = network.features(layers, "gap", PIXELS)
    return found[0]


def test_a_second_process_reads_no_weights_and_has_the_same_bits(folder, monkeypatch):
    first = features()
    (file,) = folder.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(weights, "load_arrays", lambda *_: pytest.fail("read the weights"))
        assert np.array_equal(features(), first)
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    assert np.array_equal(features(), first)  # compiled anew
    assert file.read_bytes() != bytes(damaged)
    file.write_bytes(kept.FORMAT + bytes(4))  # a model of no bytes, whose checksum is right
    assert np.array_equal(features(), first)


def test_a_model_lives_on_when_its_file_has_gone_and_it_has_rested(folder):
    first = features()
    network = Network(open_cnn(SPEC), "float32", "cpu", 2, "openvino")
    assert np.array_equal(network.features(SPEC.layers, "gap", PIXELS)[0], first)
    (file,) = folder.iterdir()
    file.unlink()
    gc.collect()
    network.runner.rest()
    more = np.concatenate([PIXELS] * 16)  # other kernels, made of its weights anew
    assert np.array_equal(network.features(SPEC.layers, "gap", more)[0][:2], first)


def test_only_what_is_worth_it_is_kept(folder):
    assert kept.place(("a",), kept.SMALLEST_BYTES - 1) is None
    assert kept.place(("a",), kept.LARGEST_BYTES + 1) is None
    one, other = (kept.place((name,), kept.LARGEST_BYTES) for name in "ab")
    assert one.parent == folder
    assert one != other


def test_what_was_not_used_for_longest_makes_room(folder, monkeypatch):
    monkeypatch.setattr(kept, "FOLDER_BYTES", 250)
    places = [kept.place((n,), kept.LARGEST_BYTES) for n in range(3)]
    for age, place in enumerate(places[:2]):
        kept.keep(place, bytes(100))
        os.utime(place, (age, age))
    assert bytes(kept.read(places[0])) == bytes(100)  # and so is the last used one
    kept.keep(places[2], bytes(100))
    assert [place.exists() for place in places] == [True, False, True]


def test_what_a_killed_process_left_goes(folder):
    place = kept.place(("a",), kept.LARGEST_BYTES)
    folder.mkdir()
    halves = [folder / f"{name}.openvino.1.1.half" for name in ("old", "new")]
    for half in halves:
        half.write_bytes(b"half")
    os.utime(halves[0], (0, 0))
    kept.keep(place, b"model")
    assert set(folder.iterdir()) == {place, halves[1]}


def test_a_folder_that_cannot_be_written_is_no_error(folder):
    folder.write_text("a file stands there")
    place = kept.place(("a",), kept.LARGEST_BYTES)
    kept.keep(place, b"model")
    assert kept.read(place) is None
