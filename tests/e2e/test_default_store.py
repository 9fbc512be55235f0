"""The user's own store, and what is measured of the machine: statements go on without either."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from vista_sql import session
from vista_sql.hosts.duckdb import measurement
from vista_sql.hosts.duckdb.process import process
from vista_sql.store import Store

QUERY = "SELECT id, conv2 FROM TRANSFER('lenet5', layers => ['conv2'], store => true) ORDER BY id"

FULL = """
import resource, signal, sys
sys.path.insert(0, sys.argv[1])
import foods
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with foods.connect() as db:
    want = db.query(sys.argv[2].replace("true", "false")).fetchall()
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    for _ in range(2):
        assert db.query(sys.argv[2]).fetchall() == want
    print(len(want))
"""


@pytest.mark.parametrize(
    "room",
    [
        pytest.param(0, marks=pytest.mark.full),
        20_000,
        pytest.param(100_000, marks=pytest.mark.full),
    ],
)
def test_a_full_disk(room, tmp_path):
    """No file may grow beyond a few bytes, as where the disk is full."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(Path(__file__).parents[1]), QUERY, str(room)],
        capture_output=True, text=True, cwd=tmp_path, timeout=200, check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), "VISTA_SQL_CALIBRATION": "true"},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["12"], done.stderr


def test_damaged_pages(fresh_db, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    want = fresh_db.query(QUERY).fetchall()
    folder = tmp_path / "vista_sql" / "store"
    data = folder / "features" / "data.mdb"
    Store(str(folder))._files._close()
    raw = bytearray(data.read_bytes())
    raw[8192:] = random.Random(0).randbytes(len(raw) - 8192)
    data.write_bytes(raw)
    assert fresh_db.query(QUERY).fetchall() == want
    assert "begins anew" in caplog.text
    assert fresh_db.query(QUERY).fetchall() == want


def test_a_machine_that_cannot_be_measured(fresh_db, tmp_path, monkeypatch, caplog):
    tried = []

    def failing(folder):
        tried.append(folder)
        raise RuntimeError("no clock")

    monkeypatch.setenv("VISTA_SQL_CALIBRATION", str(tmp_path / "calibration.json"))
    monkeypatch.setattr(measurement, "measure", failing)
    monkeypatch.setattr(session, "WORTH_SECONDS", 0)
    for _ in range(2):
        assert len(fresh_db.query(QUERY.replace("true", "false")).arrow()) == 12
    assert len(tried) == 1
    assert caplog.text.count("cannot be measured, cautious defaults stand: no clock") == 1
    process().unmeasured.clear()
