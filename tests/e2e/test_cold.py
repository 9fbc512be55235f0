"""A process that infers nothing loads nothing that only inference or training needs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap

import cv2
import numpy as np
import pyarrow as pa
import pytest

import vista_sql

NEVER = ("tensorflow", "keras", "sklearn", "scipy", "cv2", "h5py", "google.protobuf", "ssl")

FEATURES = "TRANSFER(cnn => 'lenet5', layers => ['fc6', 'conv3'], images => '{}', store => '{}')"
N = 24


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A database of images and a model, the features stored; (folder, the first run's rows)."""
    folder = tmp_path_factory.mktemp("cold")
    rng = np.random.default_rng(0)
    images = [cv2.imencode(".png", rng.integers(0, 256, (32, 32), np.uint8))[1] for _ in range(N)]
    with vista_sql.connect(folder / "images.duckdb") as db:
        db.con.register("made", pa.table({"id": range(N), "image": [i.tobytes() for i in images]}))
        db.con.execute("CREATE TABLE images AS SELECT *, id % 2 AS y FROM made")
        db.con.unregister("made")
        transfer = FEATURES.format("images", folder / "store")
        first = db.query(f"SELECT * FROM {transfer} ORDER BY id").arrow()
        db.query(
            f"FROM VISTA_TRAIN(model => 'm', label => 'y', data => $$SELECT * EXCLUDE (id) FROM "
            f"{transfer}$$, max_iterations => 3)"
        ).arrow()
        db.query(f"CREATE TABLE features AS SELECT * FROM {transfer}")
    return folder, first


@pytest.fixture
def elsewhere(kept, tmp_path):
    """Run a statement in a process of its own; returns (what was loaded in vain, rows)."""
    folder, _ = kept

    def run(statement, never=NEVER):
        script = tmp_path / "script.py"
        script.write_text(
            textwrap.dedent(f"""
            import sys
            import pyarrow.feather
            import vista_sql
            with vista_sql.connect({str(folder / "images.duckdb")!r}) as db:
                rows = db.query({statement!r}).arrow()
            print([name for name in {never!r} if name in sys.modules])
            pyarrow.feather.write_feather(rows, "rows.arrow", compression="uncompressed")
            """)
        )
        environment = os.environ | {"VISTA_SQL_CALIBRATION": str(tmp_path / "rates.json")}
        done = subprocess.run(
            [sys.executable, str(script)], cwd=tmp_path, env=environment,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / "rates.json").exists()  # nor is the machine measured
        with pa.OSFile(str(tmp_path / "rows.arrow")) as file:
            return ast.literal_eval(done.stdout), pa.ipc.open_file(file).read_all()

    return run


def test_a_second_run_reads_the_store(kept, elsewhere):
    folder, first = kept
    transfer = FEATURES.format("images", folder / "store")
    loaded, rows = elsewhere(f"SELECT * FROM {transfer} ORDER BY id", (*NEVER, "pandas"))
    assert loaded == []
    assert rows.equals(first)


def test_a_first_inference_imports_no_pandas(kept, elsewhere):
    _, first = kept
    transfer = FEATURES.format("images", "another")
    loaded, rows = elsewhere(f"SELECT * FROM {transfer} ORDER BY id", ("tensorflow", "pandas"))
    assert loaded == [], "Arrow imports pandas for pa.array, pa.scalar and to_numpy"
    assert rows.equals(first)


@pytest.mark.parametrize("rows", ["stored", "table"])
def test_a_model_predicts_over_stored_features(kept, elsewhere, rows):
    folder, _ = kept
    given = f"data => $$SELECT * FROM {FEATURES.format('images', folder / 'store')}$$"
    if rows == "table":
        given = "data => 'features'"
    loaded, found = elsewhere(f"SELECT predicted_label FROM VISTA_PREDICT(model => 'm', {given})")
    assert loaded == []
    assert found.num_rows == N
    assert found.column(0).null_count == 0
