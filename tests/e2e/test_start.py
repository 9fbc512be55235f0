"""`vista start` on small folders as people have them: what it finds, makes, says and refuses."""

from __future__ import annotations

import csv
import os
import re
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import vista_sql
from vista_sql import report, weights
from vista_sql.cli import app
from vista_sql.errors import WeightsError
from vista_sql.projects import labels as tables
from vista_sql.projects import networks

LENET = ("--cnn", "lenet5")
PLACE = Path("my project")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder; without reports, but for the test that asks for one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    return tmp_path


def picture(path, bright):
    rng = np.random.default_rng(len(str(path)))
    pixels = rng.integers(0, 60, (16, 16, 3)).astype(np.uint8)
    pixels[4:12, 4:12] += np.uint8(150 if bright else 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def pictures(*names):
    for number, name in enumerate(names):
        picture(Path("photos") / name, number % 2)


def table(header, rows, path="labels.csv", **how):
    with Path(path).open("w", newline="", **how) as file:
        csv.writer(file).writerows([header, *rows])
    return path


def numbered(n=30, pattern="{:03}.png"):
    """Write n pictures, every other one bright, and return their names."""
    names = [pattern.format(i) for i in range(n)]
    pictures(*names)
    return names


def start(*arguments, code=0):
    done = CliRunner().invoke(app, ["start", *map(str, arguments)])
    assert done.exit_code == code, done.stderr
    return " ".join(done.stderr.split()), done.stdout


def labels_of(place=PLACE):
    with vista_sql.connect(place / "pictures.duckdb", read_only=True) as db:
        return db.con.execute("FROM labels ORDER BY file").fetchall()


def found(labels, label):
    """Return the rows that a table's rows become, and what is said of them."""
    with vista_sql.connect() as db:
        seen = tables.find_pictures(db, Path("photos"))
        made = tables.from_table(db, seen, Path(labels), label, None)
        return db.con.execute("FROM labels ORDER BY file").fetchall(), " ".join(made.notes)


# ── what it makes ──────────────────────────────────────────────────────────────────────────────


def test_from_a_folder_and_a_table_to_predictions(monkeypatch):
    """Names of either side written differently, an unreadable picture, rows and pictures alone."""
    monkeypatch.setattr(report, "find_spec", find_spec)
    names = [f"{'day ü' if i % 2 else 'it’s night'}/IMG {i:02}.PNG" for i in range(30)]
    pictures(*names, "alone.png")
    (Path("photos") / names[3]).write_text("no picture")
    rows = [
        [
            *(i + 100, Path(n).stem.lower(), n.split("/")[0], i % 5, "" if i == 7 else i / 4),
            *("Ann", f"no. {i}", "ab"[i % 3 == 0], "2026-01-01"),
        ]
        for i, n in enumerate(names)
    ]
    rows[4][2] = ""
    columns = ["id", "Shot", "When", "people", "age", "by", "note", "lens", "on"]
    labels = table(columns, [*rows, [0, "lost", "?", 1, 1, "", "", "b", "2026-01-02"]])
    told, shown = start("photos", labels, "--label", "WHEN", "--project", PLACE, *LENET)
    assert "31 pictures in" in told
    assert "31 rows in labels.csv; column 'Shot' names the pictures." in told
    assert "1 row left out" in told
    assert "for example 'lost'" in told
    assert "1 picture without a row, for example 'alone.png'" in told
    assert "1 row without a When" in told
    assert "id (a different whole number in each row" in told
    assert "by (the same everywhere); note (text with many different values); on (DATE)" in told
    text = (PLACE / "queries" / "compare.sql").read_text()
    assert "exclude => ['id', 'by', 'note', 'on']" in text
    assert "categorical => 'one_hot'" in text
    assert "missing => 'mean'" in text
    assert f"1 of 30 pictures cannot be read: {names[3]}: not an image" in told
    assert "small gray pictures of digits" in told
    for layer in ("structured", "structured+hog", "structured+conv2", "structured+fc6"):
        assert layer in shown
    assert re.search(r"F1 .*: 0\.\d+ by the structured columns alone, 1\.000 with ", told)
    page = (PLACE / "report.html").read_text()
    assert "pictures, version 1" in page
    assert len(labels_of()) == 30

    for command in re.findall(r"vista run ('.*?') --db ('.*?') ", told):
        done = CliRunner().invoke(app, ["run", command[0][1:-1], "--db", command[1][1:-1]])
        assert done.exit_code == 0, done.stderr
    with vista_sql.connect(PLACE / "pictures.duckdb") as db:
        right = db.query('SELECT count(*) FROM predict WHERE predicted_label = "When"').fetchall()
        assert right == [(28,)]  # of 30: one cannot be read, one has no label
        assert db.query("SELECT count(*) FROM VISTA_MODELS()").fetchall() == [(6,)]


def test_without_a_table_the_folder_is_the_label():
    names = [f"{'cats' if i % 2 else 'dogs'}/{i}.png" for i in range(24)]
    pictures(*names)
    told, shown = start("photos", *LENET)
    assert "24 pictures in 2 folders: cats (12), dogs (12)" in told
    assert re.search(r"F1 .*: \d\.\d+ with \w+, the best of all", told)
    assert "lift" not in shown
    text = Path("vista-photos/queries/compare.sql").read_text()
    assert "label => 'folder'" in text
    assert "structured" not in text
    done = CliRunner().invoke(
        app, ["run", "vista-photos/queries", "--db", "vista-photos/pictures.duckdb"]
    )
    assert done.exit_code == 0, done.stderr
    assert "No report was written" in told


def test_a_number_is_learned_as_one_and_pictures_without_a_row_are_predicted():
    names = numbered(24)
    rows = [[name, 1.5 + i % 2 + i / 100] for i, name in enumerate(names[:-2])]
    told, shown = start("photos", table(["f", "price"], rows), "--label", "price", *LENET)
    assert "r2" in shown
    assert "R² on images" in told
    place = Path("vista-photos")
    done = CliRunner().invoke(app, ["run", f"{place}/queries", "--db", f"{place}/pictures.duckdb"])
    assert done.exit_code == 0, done.stderr
    with vista_sql.connect(place / "pictures.duckdb") as db:
        counts = db.query("SELECT count(*), count(price), count(predicted_label) FROM predict")
        assert counts.fetchall() == [(24, 22, 24)]


def test_again_takes_new_rows_and_keeps_what_was_changed():
    names = numbered(24)
    rows = [[name, i % 2] for i, name in enumerate(names)]
    arguments = ("photos", table(["f", "bright"], rows[:-4]), "--label", "bright", *LENET)
    start(*arguments, "--project", PLACE)
    assert len(labels_of()) == 20
    query = PLACE / "queries" / "compare.sql"
    query.write_text(query.read_text().replace("'conv2', 'pool2', ", ""))
    table(["f", "bright"], rows)
    told, shown = start(*arguments, "--project", PLACE)
    assert len(labels_of()) == 24
    assert "compare.sql was there, differs from what this command writes, and is kept" in told
    assert "conv3" in shown
    assert "conv2" not in shown

    before = query.read_bytes(), labels_of()
    told, _ = start(*arguments, "--label", "f", "--project", PLACE, code=1)
    told, _ = start(*arguments[:-1], "hog", "--project", PLACE, code=1)
    assert "compare.sql was not written by this command, but by vista start" in told
    assert "--project FOLDER" in told
    assert (query.read_bytes(), labels_of()) == before


# ── names of pictures ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "written",
    [
        "{:03}.png",  # 007 stays text, although all are numbers
        "{:03}",
        "./a/{:03}.png",
        "photos/a/{:03}.png",
        "C:\\shots\\a\\{:03}.PNG",
        "/data/photos/A/{:03}",
    ],
)
def test_pictures_are_found_however_they_are_written(written):
    numbered(12, "a/{:03}.png")
    rows = [[written.format(i), "x" if i % 2 else "y"] for i in range(12)]
    labelled, _ = found(table(["File", "kind"], rows), "kind")
    assert [row[0] for row in labelled] == [f"a/{i:03}.png" for i in range(12)]


def test_of_equal_names_the_folder_decides_and_without_it_none_is_taken():
    pictures(*(f"{side}/{i}.png" for i in range(8) for side in ("left", "right")))
    rows = [[f"left/{i}.png", i % 2] for i in range(8)] + [["7.png", 1]]
    labelled, told = found(table(["f", "odd"], rows), "odd")
    assert [row[0] for row in labelled] == [f"left/{i}.png" for i in range(8)]
    assert (
        "1 row left out, because several pictures have that name, for example '7.png': write its "
        "folder before" in told
    )


def test_rows_without_a_picture_and_rows_of_several_are_told_apart():
    pictures(*(f"{side}/{i}.png" for i in range(4) for side in ("left", "right")), "own.png")
    rows = [["own", 0], ["none", 1], *([f"{i}.png", 1] for i in range(4))]
    told, _ = start("photos", table(["f", "odd"], rows), "--label", "odd", code=1)
    assert "1 row left out, because no picture has that name, for example 'none'; 4 rows" in told
    assert "several pictures have that name, for example '0.png'" in told
    told, _ = start("photos", table(["f", "odd"], rows[2:]), "--label", "odd", code=1)
    assert "no row of labels.csv names one picture: of column 'f', 4 rows left out" in told


def test_other_encodings_and_names_of_files_are_read():
    pictures(*(f"é{i}.png" for i in range(8)))  # as macOS writes it, in two characters
    rows = [[f"\u00e9{i}", "né" if i % 2 else "à"] for i in range(8)]
    labels = table(["Bild;", "Wört"], rows, path="it's [1]*.csv", encoding="latin-1")
    labelled, _ = found(labels, "wört")
    assert {row[1] for row in labelled} == {"né", "à"}


# ── what it refuses, before it writes anything ─────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["photos", "labels.csv"], 1, "--label COLUMN; there is: name, kind, legs"),
        (["photos", "labels.csv", "--label", "kinde"], 1, "did you mean 'kind'?"),
        (["photos", "labels.csv", "--label", "kind", "--key", "nam"], 1, "did you mean 'name'?"),
        (["photos", "labels.csv", "--label", "legs"], 1, "'legs' of labels.csv has 1 different"),
        (
            ["photos", "other.csv", "--label", "kind"],
            1,
            "column 'name' has 'else', and a picture is",
        ),
        (["photos", "none.csv", "--label", "kind"], 2, "'none.csv' does not exist"),
        (["photos", "broken.csv", "--label", "kind"], 1, "broken.csv is not text: save"),
        (["photos", "ragged.csv", "--label", "kind"], 1, "all rows have as many values as the"),
        (["photos", "notes.csv", "--label", "note"], 1, "4 of the 4 values of column 'note' of"),
        (["classes"], 1, "folder 'b' holds one picture, and a class takes two"),
        (["photos"], 1, "are in no folder below it, so that folders tell no classes apart"),
        (["photos", "--label", "kind"], 1, "unknown label 'kind'"),
        (["photos", "--key", "kind"], 2, "--key names a column of a table"),
        (["empty", "labels.csv", "--label", "kind"], 1, "no image"),
        (["nowhere"], 2, "'nowhere' does not exist"),
        (
            ["photos", "labels.csv", "--label", "kind", "--cnn", "lenet"],
            1,
            "did you mean 'lenet5'?",
        ),
        (["photos", "labels.csv", "--label", "kind", "--cnn", "alexnet"], 1, "--weights FILE"),
        (["photos", "labels.csv", "--label", "kind", "--weights", "random"], 2, "--cnn"),
        (["photos", "file.csv", "--label", "kind"], 1, "rename 'File'"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(arguments, code, told):
    names = numbered(4)
    Path("empty").mkdir()
    rows = [[name, i % 2, 4] for i, name in enumerate(names)]
    table(["name", "kind", "legs"], rows)
    table(["name", "kind"], [["else", 1], ["where", 2]], path="other.csv")
    table(["name", "kind", "File"], [[n, i, "f"] for i, n in enumerate(names)], path="file.csv")
    table(["name", "kind"], [[n, i, "more"] for i, n in enumerate(names)], path="ragged.csv")
    table(["name", "note"], [[n, f"note on {n}"] for n in names], path="notes.csv")
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        picture(Path("classes") / name, True)
    Path("broken.csv").write_bytes(b"\x00\x01\xff" * 50)
    heard, shown = start(*arguments, code=code)
    assert told in heard
    assert "Traceback" not in heard
    assert "__vista" not in heard
    assert not shown
    assert not list(Path().glob("vista-*"))


def test_a_place_that_cannot_be_written_is_said(folder):
    numbered(4)
    labels = table(["f", "odd"], [[f"{i:03}.png", i % 2] for i in range(4)])
    Path("taken").write_text("a file")
    told, _ = start("photos", labels, "--label", "odd", "--project", "taken/below", *LENET, code=1)
    assert "the project cannot be written to taken/below" in told
    assert "--project FOLDER" in told


# ── which network ──────────────────────────────────────────────────────────────────────────────


def test_the_network_is_the_first_whose_weights_are_here(monkeypatch):
    monkeypatch.setattr(
        weights,
        "available",
        lambda cnn: ("imagenet", "random") if cnn.name in ("vgg16", "resnet50") else ("random",),
    )
    asked = []

    def resolve(cnn, choice=None, seed=0):
        asked.append(cnn.name)
        return weights.WeightsChoice("imagenet", "file", 0, "sha256")

    monkeypatch.setattr(weights, "resolve", resolve)
    chosen = networks.choose(None, None)
    assert (chosen.cnn, asked) == ("resnet50", ["resnet50"])
    assert "ImageNet" in chosen.note


def test_without_a_network_to_download_from_it_is_the_one_that_brings_its_weights(monkeypatch):
    real = weights.resolve

    def resolve(cnn, choice=None, seed=0):
        if cnn.default_weights == "imagenet":
            raise WeightsError("no network")
        return real(cnn, choice, seed)

    monkeypatch.setattr(weights, "resolve", resolve)
    monkeypatch.setenv("KERAS_HOME", os.devnull)
    chosen = networks.choose(None, None)
    assert chosen.cnn == "lenet5"
    assert "expect little of it elsewhere" in chosen.note


def test_a_file_of_weights_is_found_from_any_folder(folder):
    Path("mine.h5").write_bytes(b"weights")
    chosen = networks.choose("resnet18", "mine.h5")
    assert chosen.weights == str(folder / "mine.h5")
    assert "with the weights in mine.h5" in chosen.note


def test_random_weights_are_called_a_rehearsal():
    chosen = networks.choose("resnet18", "random")
    assert "say nothing about what the network can do" in chosen.note
