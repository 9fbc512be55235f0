"""A machine is measured once, before the first statement that infers; its networks as they run."""

from __future__ import annotations

import foods
import pytest

from vista_sql import session
from vista_sql.hosts.duckdb import measurement
from vista_sql.machine import calibration

SELECT = f"SELECT id, f6 FROM {foods.CALL}"


@pytest.fixture
def rates(tmp_path, monkeypatch):
    path = tmp_path / "rates.json"
    monkeypatch.setenv("VISTA_SQL_CALIBRATION", str(path))
    return path


def test_the_first_inference_measures_and_the_next_estimate_uses_it(rates, fresh_db, monkeypatch):
    measured = []
    real = measurement.measure
    monkeypatch.setattr(measurement, "ROUNDS", 1)
    fresh_db.query(SELECT).arrow()
    assert not calibration.load(rates).is_measured  # that would take longer than the statement
    monkeypatch.setattr(session, "WORTH_SECONDS", 0)
    monkeypatch.setattr(
        measurement, "measure", lambda folder: measured.append(folder) or real(folder)
    )
    assert "estimates: defaults" in fresh_db.explain(SELECT)
    fresh_db.query("SELECT id FROM TRANSFER(cnn => 'lenet5', structured => 'foods')").arrow()
    assert measured == []  # nothing was inferred
    fresh_db.query(SELECT).arrow()
    fresh_db.query(SELECT).arrow()
    assert measured == [""]
    known = calibration.load(rates)
    assert known.is_measured
    assert "estimates: measured" in fresh_db.explain(SELECT)
    for name in known.__slots__:
        if name.endswith("_seconds") or name.endswith("_per_second"):
            assert getattr(known, name) > 0


def test_off_means_that_nothing_is_measured_or_written(tmp_path, monkeypatch, fresh_db):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("VISTA_SQL_CALIBRATION", "off")
    monkeypatch.setattr(measurement, "measure", lambda _: pytest.fail("it was measured"))
    fresh_db.query(SELECT).arrow()
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_measured_on_its_own_disk_and_left_as_it_was(tmp_path):
    folder = tmp_path / "store"
    found = measurement.measure(str(folder))
    assert found.store_read_bytes_per_second != calibration.DEFAULTS.store_read_bytes_per_second
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_written_keeps_the_defaults():
    found = measurement.measure("/proc/none/store")
    assert found.store_read_bytes_per_second == calibration.DEFAULTS.store_read_bytes_per_second


def test_the_trainer_is_measured():
    assert measurement.trainer_rate() > 1e6
