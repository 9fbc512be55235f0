"""Rates: kept in a file, read again, and the defaults where there is none that can be read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from vista_sql.errors import SettingError
from vista_sql.machine import calibration
from vista_sql.machine.calibration import DEFAULTS
from vista_sql.settings import Settings


def test_what_was_saved_is_loaded(tmp_path):
    path = tmp_path / "deep" / "rates.json"
    rates = replace(DEFAULTS, flops_per_second=5e11, networks={"a/float32/auto": {"x": (7, 0.1)}})
    calibration.save(path, rates)
    assert calibration.load(path) == rates


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 0}', '{"version": 1}', '{"version": 2, "new": 2}']
)
def test_a_damaged_or_foreign_file_gives_the_defaults(tmp_path, text):
    path = tmp_path / "rates.json"
    path.write_text(text)
    assert calibration.load(path) == DEFAULTS
    assert calibration.load(tmp_path / "absent.json") == DEFAULTS
    assert calibration.load(None) == DEFAULTS


def test_what_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    calibration.save(tmp_path / "file" / "rates.json", DEFAULTS)
    assert calibration.load(tmp_path / "file" / "rates.json") == DEFAULTS


def test_runs_teach_what_is_not_known_yet(tmp_path):
    path = tmp_path / "rates.json"
    calibration.learn(path, {"a/float32/auto": {"low": (1, 0.1)}})
    calibration.learn(path, {"a/float32/auto": {"low": (1, 9.0)}})
    calibration.learn(
        path, {"a/float32/auto": {"low": (1, 9.0), "high": (2, 0.2)}, "b": {"x": (3, 1.0)}}
    )
    found = calibration.load(path).networks
    assert found == {"a/float32/auto": {"low": (1, 0.1), "high": (2, 0.2)}, "b": {"x": (3, 1.0)}}
    calibration.learn(None, {"a": {"x": (3, 1.0)}})


def test_a_quicker_run_is_believed(tmp_path):
    path = tmp_path / "rates.json"
    calibration.learn(path, {"a": {"low": (1, 0.10), "high": (2, 0.2)}})
    calibration.learn(path, {"a": {"low": (1, 0.095)}})
    assert calibration.load(path).networks == {"a": {"low": (1, 0.10), "high": (2, 0.2)}}
    calibration.learn(path, {"a": {"low": (1, 0.05), "high": (2, 0.11)}})
    assert calibration.load(path).networks == {"a": {"low": (1, 0.05), "high": (2, 0.11)}}


def test_the_setting_turns_it_off_or_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for text, there in (("off", False), ("false", False), ("on", True), (None, True)):
        environment = {} if text is None else {"VISTA_SQL_CALIBRATION": text}
        found = calibration.file_of(Settings(environment=environment).value("calibration"))
        assert (found is not None) is there
        assert found is None or found.is_relative_to(tmp_path)
    named = Settings(environment={"VISTA_SQL_CALIBRATION": str(tmp_path / "own.json")})
    assert calibration.file_of(named.value("calibration")) == tmp_path / "own.json"


def test_a_setting_that_is_neither_is_a_path():
    assert (
        Settings(environment={"VISTA_SQL_CALIBRATION": " True "}).value("calibration").value is True
    )
    with pytest.raises(SettingError):
        Settings(environment={"VISTA_SQL_BATCH_ROWS": "many"}).value("batch_rows")
