"""Who runs a network: what was asked for, else what is here and can."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec.structs import replace

from vista_sql import catalog, kernels, roster, store
from vista_sql.errors import PlanError, SettingError
from vista_sql.hosts import engines as hosts_engines
from vista_sql.kernels import Engine
from vista_sql.machine.resources import Processor
from vista_sql.planning.engines import NO_ENGINES, EngineChoice, Engines, choose
from vista_sql.settings import Settings, Value

LENET = roster.load("lenet5")
BOTH = Engines(frozenset(get_args(Engine)), has_bfloat16=True)
AUTO = Value("engine", "auto", "default")


def test_the_names_are_those_of_the_folders():
    assert sorted(get_args(Engine)) == [*catalog.names(f"{kernels.PACKAGE}.network.engines")]


@pytest.mark.parametrize(
    ("known", "engine", "why"),
    [
        (BOTH, "openvino", "the faster one on a CPU"),
        (replace(BOTH, has_gpu=True), "tensorflow", "OpenVINO is used on CPUs alone"),
        (NO_ENGINES, "tensorflow", "OpenVINO is not installed"),
        (Engines(frozenset({"openvino"})), "openvino", "TensorFlow is not installed"),
    ],
)
def test_auto_takes_the_faster_one_that_is_here(known, engine, why):
    assert choose(AUTO, known) == EngineChoice(engine, why)


def test_auto_follows_the_device_and_the_arithmetic():
    on_gpu, plain = replace(BOTH, has_gpu=True), replace(BOTH, has_bfloat16=False)
    assert choose(AUTO, on_gpu, device="cpu").name == "openvino"
    assert choose(AUTO, BOTH, device="gpu").name == "tensorflow"  # which says that there is none
    assert choose(AUTO, BOTH, dtype="bfloat16").name == "openvino"
    assert choose(AUTO, plain, dtype="bfloat16").name == "tensorflow"
    assert choose(AUTO, plain).name == "openvino"


@pytest.mark.parametrize("engine", get_args(Engine))
def test_what_is_asked_for_is_taken(engine):
    asked = Settings({"vista_engine": engine.upper()}, {}).value("engine")
    found = choose(asked, NO_ENGINES)
    assert (found.name, found.why) == (engine, "as given: SET VARIABLE vista_engine")


def test_what_only_tensorflow_can_run_goes_to_it():
    what = "layer 'up' (Conv2DTranspose)"
    why = "no other engine runs layer 'up' (Conv2DTranspose)"
    for known in (BOTH, Engines(frozenset({"openvino"}))):
        assert choose(AUTO, known, only_tensorflow=what) == EngineChoice("tensorflow", why)
    asked = Value("engine", "tensorflow", "engine => …")
    assert choose(asked, BOTH, only_tensorflow=what).why == "as given: engine => …"
    with pytest.raises(PlanError) as caught:
        choose(replace(asked, value="openvino"), BOTH, only_tensorflow=what)
    assert str(caught.value) == (
        "engine 'openvino' (engine => …) cannot run layer 'up' (Conv2DTranspose): take engine => "
        "'tensorflow'"
    )


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(SettingError, match=r"VISTA_SQL_ENGINE\): did you mean 'openvino'"):
        Settings({}, {"VISTA_SQL_ENGINE": "openvono"}).value("engine")


@pytest.mark.parametrize(
    ("packages", "instructions", "expected"),
    [
        ({"openvino", "tensorflow"}, "avx2 avx512_bf16", Engines(BOTH.installed, False, True)),
        ({"tensorflow-cpu"}, "avx2", Engines(frozenset({"tensorflow"}))),
        ({"openvino"}, "avx512f amx_bf16", Engines(frozenset({"openvino"}), False, True)),
        (set(), "", NO_ENGINES),
    ],
)
def test_a_host_says_what_is_here(packages, instructions, expected, monkeypatch):
    monkeypatch.setattr(
        hosts_engines, "package_version", lambda name: "1" if name in packages else None
    )
    monkeypatch.setattr(hosts_engines, "processor", lambda: Processor("", instructions))
    monkeypatch.setattr(store, "device_class", lambda device: "cpu of the test")
    assert hosts_engines.here.__wrapped__() == expected


def test_features_of_two_engines_have_two_keys():
    spaces = [store.space(LENET, "0", "f6", device="cpu", engine=e) for e in get_args(Engine)]
    assert len({space.key for space in spaces}) == len(spaces)
    assert "openvino" in spaces[-1].made_by
    hog = roster.load("hog")
    assert (
        len({store.space(hog, "0", "hog", device="cpu", engine=e) for e in get_args(Engine)}) == 1
    )


def test_only_tensorflow_has_a_gpu(monkeypatch):
    assert store.device_class("gpu", "openvino").startswith("cpu")
