"""The optimizer and the store: what is stored is counted on, and bases are kept where they pay."""

from __future__ import annotations

import re

import pytest
from inferences import Count, N, images_db, statement
from msgspec.structs import replace

from vista_sql.machine import calibration
from vista_sql.machine.calibration import DEFAULTS


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("VISTA_SQL_CALIBRATION", str(tmp_path / "rates.json"))
    calibration.save(tmp_path / "rates.json", _rates())
    with images_db(tmp_path, "query") as db:  # "attach" cannot look images up while it plans
        yield Count(db)


def _rates(**changed):
    return replace(DEFAULTS, source="made up", **changed)


def estimated(run, sql):
    """Return (images inferred, layers evaluated) as explained."""
    text = run.db.explain(sql)
    found = re.search(r"in all: \S+ \S+, ([\d,]+) images inferred, ([\d,]+) layers", text)
    return tuple(int(number.replace(",", "")) for number in found.groups())


def test_what_is_stored_is_not_estimated_to_be_inferred(run):
    assert estimated(run, statement()) == (N, 2 * N)
    run(statement())
    assert run.images_inferred == N
    assert estimated(run, statement()) == (0, 0)
    assert "the store holds all layers of 100% of the images" in run.db.explain(statement())
    run.db.con.execute("DELETE FROM images WHERE id >= 40")
    run.db.con.execute("INSERT INTO images SELECT id + 100, image || 'x'::BLOB FROM images")
    images, _ = estimated(run, statement())
    run(statement())
    assert run.images_inferred == 40
    assert images == pytest.approx(40, abs=24)  # 64 images tell a half to 6 %: three times that


def test_a_map_that_pays_is_kept_and_started_from(run):
    low = statement("'conv2'")
    assert "materialization: c3 (saves " in run.db.explain(low)
    run(low)
    assert run.images_inferred == N
    high = statement("'f6'")
    assert "start: c3 (the store holds its raw maps of 100% of the images" in run.db.explain(high)
    want = run(statement("'f6'", store="false"))
    assert run(high) == want
    assert (run.images_inferred, run.decoded) == (N, 0)


def test_a_map_that_is_dearer_to_load_than_to_compute_is_not_kept(run, tmp_path):
    slow = _rates(store_read_bytes_per_second=1e6, store_write_bytes_per_second=1e6)
    calibration.save(tmp_path / "rates.json", slow)
    low = statement("'conv2'")
    assert "materialization: none (c3 is cheaper to compute again" in run.db.explain(low)
    run(low)
    assert "start: image" in run.db.explain(statement("'f6'"))


def test_a_map_that_was_asked_for_is_not_used_where_that_is_dearer(run, tmp_path):
    run("FROM VISTA_MATERIALIZE(cnn => 'lenet5', layer => 'conv2', images => 'images')")
    high = statement("'f6'")
    assert "start: c3" in run.db.explain(high)
    slow = _rates(store_read_bytes_per_second=1e6)
    calibration.save(tmp_path / "rates.json", slow)
    assert "start: image" in run.db.explain(high)
    run(high)
    assert (run.images_inferred, run.decoded) == (N, N)


def test_a_vector_is_its_own_base(run):
    run(statement("'c5'"))
    high = statement("'f6'")
    assert "start: c5" in run.db.explain(high)
    want = run(statement("'f6'", store="false"))
    assert run(high) == want
    assert run.decoded == 0
