"""`vista demo` as a user runs it, and every shipped query on the tables that it writes."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time

import cv2
import duckdb
import pytest
import shipped
from click.testing import CliRunner

import vista_sql
from vista_sql import report
from vista_sql.cli import app

ROOT = shipped.ROOT
ELSEWHERE = ("foods/", "amazon/", "transferability/", "custom_classifier/")  # have tests of theirs
QUERIES = [name for name in shipped.NAMES if not name.startswith(ELSEWHERE)]
LAYERS = ["conv2", "pool2", "conv3", "fc6"]
VISTA = [sys.executable, "-m", "vista_sql"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run the demo in an empty folder: rows to a pipe, all else to a terminal of 60 columns."""
    folder = tmp_path_factory.mktemp("cwd")
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 60, 0, 0))
    heard = []

    def listen():
        try:
            while text := os.read(primary, 1 << 16):
                heard.append(text)
        except OSError:  # the other end is closed
            return

    listening = threading.Thread(target=listen)
    listening.start()
    began = time.monotonic()
    env = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(
        [*VISTA, "demo"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=secondary,
        env=env,
        check=False,
    )
    seconds = time.monotonic() - began
    os.close(secondary)
    listening.join()
    os.close(primary)
    told = b"".join(heard).decode()
    assert done.returncode == 0, told
    return folder / "vista-demo", done.stdout.decode(), told, seconds


def rows_of(shown):
    """Return the rows of a table that DuckDB has drawn."""
    boxed = [line.strip("│") for line in shown.splitlines() if line.startswith("│")]
    names, _, *lines = [[cell.strip() for cell in line.split("│")] for line in boxed]
    return [dict(zip(names, line, strict=True)) for line in lines]


def test_the_lift_is_measured_and_real(demo):
    _, shown, told, seconds = demo
    rows = rows_of(shown)
    names = ["structured", *(f"structured+{layer}" for layer in LAYERS)]
    assert [row["feature_set"] for row in rows] == names
    f1 = {row["feature_set"]: float(row["f1_score"]) for row in rows}
    best = max(f1, key=f1.get)
    assert [row["feature_set"] for row in rows if row["is_best"] == "true"] == [best]
    assert 0.8 < f1["structured"] < 0.95
    assert f1[best] > 0.97
    assert float(rows[names.index(best)]["lift"]) == pytest.approx(
        f1[best] - f1["structured"], abs=2e-4
    )
    assert f"{f1['structured']:.3f} by the structured" in " ".join(told.split())
    assert seconds < 60


def test_a_terminal_sees_progress_and_no_noise(demo):
    folder, shown, told, _ = demo
    assert "896/896" in told
    assert "896/896" not in shown
    assert "Writing the handwritten digits 5 to 9" in told
    assert "FROM VISTA_TRAIN(" in told
    for command in re.findall(r"vista query (\S+\.sql)", told):
        assert (folder.parent / command).is_file()
    for noise in ("oneDNN", "cpu_feature_guard", "absl", "WARNING", "Traceback"):
        assert noise not in told


def test_it_ends_with_a_report_and_says_where_it_lies(demo):
    folder, shown, told, _ = demo
    assert "vista-demo/report.html" in told
    page = (folder / "report.html").read_text()
    assert "digits, version 1" in page
    assert page.count("<svg") == 5
    for row in rows_of(shown):
        assert row["feature_set"] in page


def test_without_the_extra_it_says_how_to_get_the_report(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["demo", str(tmp_path / "new")])
    assert done.exit_code == 0, done.stderr
    assert not (tmp_path / "new" / "report.html").exists()
    told = " ".join(done.stderr.split())
    assert "No report was written: a report needs jinja2 and matplotlib: pip install" in told
    assert "vista report digits --db" in told


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = subprocess.run(
        [*VISTA, "demo", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        f"vista: {tmp_path} holds other files; name a new or empty folder"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


# ── the shipped queries ────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def db(demo):
    with vista_sql.connect(demo[0] / "demo.duckdb") as session:
        needed = shipped.sql("digits/digits_features.sql")
        session.query(f"CREATE TEMP TABLE digits_features AS {needed}")
        needed = shipped.sql("preparation/prepared_images.sql")
        session.query(f"CREATE TEMP TABLE prepared_images AS {needed}")
        yield session


SPARED = ("digits/digits_rank_sources.sql", "digits/digits_compare.sql")
"""Which .ci/run leaves out: these functions are asked in docs/training.md, and tested each."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.full) if n in SPARED else n for n in QUERIES]
)
def test_queries_run_and_return_what_they_say(demo, db, name):
    n_rows = shipped.check(db, name, image_files=f"{demo[0]}/images/*")
    assert n_rows or name == "digits/digits_image_qa.sql"  # the demo's images are all fine


def test_the_demo_again_keeps_the_model_and_the_rest(demo, db):
    kept = "SELECT model FROM VISTA_MODELS() WHERE model LIKE 'digits%'"
    before = db.query(kept).fetchall()
    assert len(before) == 1 + len(LAYERS)
    db.query(shipped.sql("digits/digits_by_layer.sql")).arrow()
    assert db.query(kept).fetchall() == before


def test_bad_images_are_found_with_what_is_wrong(demo, tmp_path):
    good = demo[0] / "images" / "0000.png"
    pixels = cv2.imread(str(good))
    written = {
        0: good.read_bytes(),
        1: good.read_bytes()[:40],
        2: None,
        3: good.read_bytes(),
        4: cv2.imencode(".png", pixels)[1].tobytes(),
        5: cv2.imencode(".jpg", pixels)[1].tobytes(),
        6: cv2.imencode(".jpg", pixels[:, :, 0])[1].tobytes(),
        7: cv2.imencode(".png", pixels[:, :, 0].astype("uint16"))[1].tobytes(),
        8: cv2.imencode(".png", 255 - pixels[:, :, 0])[1].tobytes(),
    }
    with vista_sql.connect(tmp_path / "qa.duckdb") as session:
        session.con.execute("CREATE TABLE digit_images (id INTEGER, path VARCHAR)")
        for key, content in written.items():
            path = tmp_path / f"{key}.png"
            if content is not None:
                path.write_bytes(content)
            session.con.execute("INSERT INTO digit_images VALUES (?, ?)", [key, str(path)])
        query = shipped.sql("digits/digits_image_qa.sql", image_files=f"{tmp_path}/*.png")
        rows = session.query(query).fetchall()
    assert [(row[0], row[2]) for row in rows] == [
        (1, "unreadable"),
        (2, "unreadable"),
        (3, "duplicate"),
        (4, "odd mode"),
        (5, "odd mode"),
        (6, "odd mode"),
        (7, "odd mode"),
    ]
    assert [row[3] for row in rows[2:]] == [
        "as id 0",
        "PNG, RGB",
        "JPEG, RGB",
        "JPEG, L",
        "PNG, I;16",
    ]
    assert all(row[3] for row in rows)


def test_dropped_rows_are_told_of(tmp_path):
    with duckdb.connect(str(tmp_path / "photos.duckdb")) as con:
        con.execute("CREATE TABLE photos AS SELECT id, 'no'::BLOB AS image FROM range(3) t(id)")
    transfer = "TRANSFER(cnn => 'lenet5', images => 'photos', on_error => 'skip')"
    args = ["query", f"SELECT id, fc6 FROM {transfer}", "--db", str(tmp_path / "photos.duckdb")]
    done = CliRunner().invoke(app, [*args, "--format", "csv"])
    assert (done.stdout, done.exit_code) == ("id,fc6\n", 0)
    assert done.stderr.startswith("vista: 3 of 3 images cannot be read, the first: key 0")
    done = CliRunner().invoke(app, ["query", "SELECT 1 AS a", *args[2:], "--format", "csv"])
    assert (done.stdout, done.stderr) == ("a\n1\n", "")


def test_neighbours_are_mostly_of_the_same_digit(db):
    rows = db.query(shipped.sql("digits/digits_neighbours.sql")).fetchall()
    assert len(rows) == 15
    assert sum(row[1] == row[3] for row in rows) >= 10


def test_the_tables_are_the_users_own(demo):
    with duckdb.connect(str(demo[0] / "demo.duckdb")) as con:
        found = con.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
    assert found == [("digit_images",), ("digits",)]
