"""`vista doctor`: what is here, what is broken, and what to do about it."""

import duckdb
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from vista_sql import doctor, roster
from vista_sql.cli import app
from vista_sql.errors import WeightsError
from vista_sql.hosts.duckdb import measurement
from vista_sql.machine import calibration


def vista(*args):
    return CliRunner().invoke(app, args, prog_name="vista")


@pytest.fixture
def without_tensorflow(monkeypatch):
    """The sample inference is the demo's to test; here it would cost seconds."""
    monkeypatch.setattr(doctor, "_tensorflow", lambda: (None, []))
    monkeypatch.setattr(doctor, "_sample", list)


@pytest.mark.parametrize(
    ("installed", "state"), [({"openvino"}, "ok"), ({"tensorflow-cpu"}, "ok"), (set(), "broken")]
)
def test_one_engine_is_enough(installed, state, monkeypatch):
    version = doctor.package_version
    names = {"openvino", *doctor.TENSORFLOWS}
    for module in (doctor, doctor.engines):
        monkeypatch.setattr(
            module,
            "package_version",
            lambda name: version(name) if name in installed or name not in names else None,
        )
    (finding,) = doctor._tensorflow()[1][:1]
    assert finding.state == state


def test_doctor_says_what_there_is(without_tensorflow, monkeypatch):
    monkeypatch.setenv("VISTA_SQL_THREADS", "2")
    done = vista("doctor")
    assert (done.stderr, done.exit_code) == ("", 0)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert f"duckdb {duckdb.__version__}" in lines
    assert "threads 2 (VISTA_SQL_THREADS)" in lines
    assert "seed 0 (default)" in lines
    assert any(line.startswith("memory ") and "GiB" in line for line in lines)
    bundled = roster.load("lenet5").weights["bundled"]
    assert any(bundled.sha256 in line for line in lines)


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("VISTA_SQL_THREADS", "many", "correct or unset VISTA_SQL_THREADS"),
        (
            "VISTA_SQL_HOME",
            "/dev/null/home",
            "let VISTA_SQL_HOME name a folder",
        ),
    ],
)
def test_doctor_finds_what_is_broken(without_tensorflow, monkeypatch, name, value, remedy):
    monkeypatch.setenv(name, value)
    done = vista("doctor")
    assert done.exit_code == 1
    assert done.stderr.startswith("vista: 1 thing is broken")
    broken, told = (done.stdout.splitlines()[i] for i in _around_mark(done.stdout))
    assert broken.startswith("✗ ")
    assert remedy in told


def _around_mark(shown):
    at = next(i for i, line in enumerate(shown.splitlines()) if line.startswith("✗"))
    return at, at + 1


def test_doctor_finds_damaged_weights(without_tensorflow, monkeypatch):
    def damaged(*_):
        raise WeightsError("not the file that was published")

    monkeypatch.setattr(doctor.weights, "resolve", damaged)
    done = vista("doctor")
    assert done.exit_code == 1
    assert "install vista-sql again" in done.stdout


def test_doctor_tries_an_inference():
    done = vista("doctor")
    assert (done.stderr, done.exit_code) == ("", 0)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any(line.startswith("infer 512 images in ") for line in lines)
    assert any(line.startswith("Keras ") for line in lines)


def test_doctor_shows_the_store_and_what_was_measured(without_tensorflow, monkeypatch, tmp_path):
    monkeypatch.setenv("VISTA_SQL_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("VISTA_SQL_CALIBRATION", str(tmp_path / "rates.json"))
    rates = replace(calibration.DEFAULTS, source="measured then", networks={"a/b/c": {"x": (1, 2)}})
    assert "not measured yet" in vista("doctor").stdout
    calibration.save(tmp_path / "rates.json", rates)
    shown = vista("doctor").stdout
    assert "measured then" in shown
    assert f"{tmp_path / 'store'}: 0 B of at most " in shown
    assert not (tmp_path / "store").exists()


def test_calibrating_measures_and_keeps(monkeypatch, tmp_path):
    monkeypatch.setenv("VISTA_SQL_CALIBRATION", str(tmp_path / "rates.json"))
    monkeypatch.setattr(measurement, "ROUNDS", 1)
    done = vista("doctor", "--calibrate", "lenet5")
    assert (done.stderr, done.exit_code) == ("", 0)
    known = calibration.load(tmp_path / "rates.json")
    assert known.has_met("lenet5/float32/auto/openvino")
    assert known.trainer_bytes_per_second != calibration.DEFAULTS.trainer_bytes_per_second


def test_calibrating_says_what_cannot_be(monkeypatch):
    assert "unknown cnn 'lenet'" in vista("doctor", "--calibrate", "lenet").stderr
    assert "--calibrate" in vista("doctor", "lenet5").stderr
    monkeypatch.setenv("VISTA_SQL_CALIBRATION", "off")
    assert "calibration is off" in vista("doctor", "--calibrate").stderr


def test_doctor_finds_misspelt_settings(without_tensorflow, monkeypatch):
    monkeypatch.setenv("VISTA_SQL_BATCH_ROW", "8")
    shown = vista("doctor").stdout
    assert "VISTA_SQL_BATCH_ROW" in shown
    assert "→ write VISTA_SQL_BATCH_ROWS" in shown
