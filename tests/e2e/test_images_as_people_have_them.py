"""Images as people have them: files, lists of files, Parquet, archives, frames in Python."""

from __future__ import annotations

import tarfile
import zipfile

import cv2
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest

import vista_sql
from vista_sql.errors import VistaError

N = 5
CALL = "TRANSFER(cnn => 'lenet5', layers => ['fc6'], {})"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same images in every form that a file can have."""
    place = tmp_path_factory.mktemp("inputs")
    (place / "photos").mkdir()
    with (
        zipfile.ZipFile(place / "a.zip", "w") as archive,
        tarfile.open(place / "a.tar", "w") as tar,
    ):
        for i in range(N):
            pixels = np.random.default_rng(i).integers(0, 256, (16, 16), np.uint8)
            file = place / "photos" / f"{i}.jpg"
            file.write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())
            archive.write(file, file.name)
            tar.add(file, file.name)
    photos = f"'{place}/photos/*.jpg'"
    blobs = (
        f"SELECT parse_filename(filename, true)::INTEGER AS id, content FROM read_blob({photos})"
    )
    uris = f"SELECT parse_filename(file, true)::INTEGER AS id, file AS uri FROM glob({photos})"
    with duckdb.connect() as con:
        con.execute(f"COPY ({blobs}) TO '{place}/blobs.parquet'")
        con.execute(f"COPY ({uris}) TO '{place}/uris.parquet'")
        con.execute(f"COPY ({uris}) TO '{place}/uris.csv'")
    return place


@pytest.fixture(scope="module")
def both(folder):
    """The hosts, each a function of a statement and the caller's variables that gives its rows."""
    with vista_sql.connect() as db, duckdb.connect() as con:
        vista_sql.attach(con)

        def query(sql, frames):
            return db.query(sql, scope=frames.get).fetchall()

        def attached(sql, frames):
            for name, frame in frames.items():
                con.register(name, frame)
            rows = con.sql(sql).fetchall()
            for name in frames:
                con.unregister(name)
            return rows

        yield query, attached


@pytest.fixture(scope="module")
def expected(both, folder):
    """Id, features and error of each image, from a table of BLOBs."""
    images = f"$$SELECT id, content FROM '{folder}/blobs.parquet'$$"
    rows = both[0](
        f"SELECT id, fc6, error FROM {CALL.format(f'images => {images}')} ORDER BY id", {}
    )
    assert [(row[0], row[2]) for row in rows] == [(i, None) for i in range(N)]
    assert len({tuple(row[1]) for row in rows}) == N
    return rows


def lists(rows):
    return [(row[0], list(row[1]), row[2]) for row in rows]


FORMS = {
    "read_blob": "$$SELECT parse_filename(filename, true)::INT AS id, content "
    "FROM read_blob('photos/*.jpg')$$",
    "read_blob, quotes doubled": "'(SELECT parse_filename(filename, true)::INT AS id, content "
    "FROM read_blob(''photos/*.jpg''))'",
    "glob": "$$SELECT parse_filename(file, true)::INT AS id, file FROM glob('photos/*.jpg')$$",
    "BLOBs in Parquet": "$$FROM 'blobs.parquet'$$",
    "a Parquet file's name": "'blobs.parquet'",
    "URIs in Parquet": "$$FROM read_parquet('uris*.parquet')$$",
    "URIs in CSV": "$$FROM 'uris.csv'$$",
    "members of a zip": "$$SELECT id, concat('zip://', id, '.jpg::a.zip') AS uri FROM 'uris.csv'$$",
    "members of a tar": "$$SELECT id, concat('tar://', id, '.jpg::a.tar') AS uri FROM 'uris.csv'$$",
}


@pytest.mark.parametrize("form", FORMS)
def test_files_of_every_form_give_the_same_features(form, both, expected, folder, monkeypatch):
    monkeypatch.chdir(folder)
    call = CALL.format(f"images => {FORMS[form]}")
    for run in both:
        assert lists(run(f"SELECT id, fc6, error FROM {call} ORDER BY id", {})) == lists(expected)


def test_the_key_may_be_the_file_name(both, expected, folder, monkeypatch):
    monkeypatch.chdir(folder)
    call = CALL.format("images => $$FROM read_blob('photos/*.jpg')$$, key => 'filename'")
    for run in both:
        rows = run(f"SELECT filename, fc6, error FROM {call} ORDER BY filename", {})
        assert [row[0] for row in rows] == [f"photos/{i}.jpg" for i in range(N)]
        assert [list(row[1]) for row in rows] == [list(row[1]) for row in expected]


FRAMES = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "polars, lazy": pl.LazyFrame,
    "Arrow table": pa.table,
    "Arrow dataset": lambda columns: pyarrow.dataset.dataset(pa.table(columns)),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_are_tables(kind, both, expected, folder):
    files = [folder / "photos" / f"{i}.jpg" for i in range(N)]
    photos = FRAMES[kind]({"id": list(range(N)), "image": [file.read_bytes() for file in files]})
    places = FRAMES[kind]({"id": list(range(N)), "place": [str(file) for file in files]})
    dishes = FRAMES[kind]({"id": [0, 2, 7], "price": [1.5, 2.5, 3.5]})
    frames = {"photos": photos, "places": places, "dishes": dishes}
    for run in both:
        for call in (
            "images => 'photos'",
            "images => photos",
            "images => $$FROM photos$$",
            "images => 'places', image => 'place'",
        ):
            found = run(f"SELECT id, fc6, error FROM {CALL.format(call)} ORDER BY id", frames)
            assert lists(found) == lists(expected), call
        joined = run(
            f"SELECT id, price, fc6 FROM {CALL.format('images => photos, structured => dishes')} "
            "WHERE price > 1 ORDER BY id",
            frames,
        )
        assert [row[:2] for row in joined] == [(0, 1.5), (2, 2.5)]
        assert [list(row[2]) for row in joined] == [list(expected[i][1]) for i in (0, 2)]


def test_frames_are_found_in_the_callers_scope(expected, folder):
    files = [folder / "photos" / f"{i}.jpg" for i in range(N)]
    photos = pd.DataFrame({"id": range(N), "image": [file.read_bytes() for file in files]})
    text = f"SELECT id, fc6, error FROM {CALL.format('images => photos')} ORDER BY id"
    assert lists(vista_sql.query(text).fetchall()) == lists(expected)
    with vista_sql.connect() as db:
        assert lists(db.query(text).fetchall()) == lists(expected)
    with duckdb.connect() as con:
        vista_sql.attach(con)
        assert lists(con.sql(text).fetchall()) == lists(expected)  # DuckDB's own look-up
    assert len(photos) == N


def test_relations_and_numpy_arrays_are_tables(expected, folder):
    with vista_sql.connect() as db:
        shots = db.con.sql(f"FROM '{folder}/blobs.parquet'")
        call = CALL.format("images => shots")
        found = db.query(f"SELECT id, fc6, error FROM {call} ORDER BY id").fetchall()
        assert lists(found) == lists(expected)
        assert shots.columns == ["id", "content"]
        pairs = np.array([[1, 3], [2, 4]])
        assert db.query("FROM pairs").fetchall() == [(1, 2), (3, 4)]
        assert pairs.shape == (2, 2)


def test_a_table_comes_before_a_variable(folder):
    dishes = pd.DataFrame({"id": [1, 2]})
    with vista_sql.connect() as db:
        db.query("CREATE TABLE dishes AS SELECT 7 AS id")
        assert db.query("FROM dishes").fetchall() == [(7,)]
    assert len(dishes) == 2


def test_a_reader_gives_its_rows_once(folder):
    files = [folder / "photos" / f"{i}.jpg" for i in range(N)]
    table = pa.table({"id": range(N), "image": [file.read_bytes() for file in files]})
    reader = table.to_reader()
    with vista_sql.connect() as db, pytest.raises((VistaError, duckdb.Error), match="read_all"):
        db.query(f"SELECT id, fc6 FROM {CALL.format('images => reader')}").fetchall()
    assert reader.schema == table.schema


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ("$$FROM 'nowhere.parquet'$$", "nowhere.parquet"),
        ("'nowhere'", "nowhere"),
        ("$$FROM 'broken.parquet'$$", "broken.parquet"),
    ],
)
def test_what_is_not_there_is_said(images, said, both, folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "broken.parquet").write_bytes(b"PAR1 no, it is not")
    for run in both:
        with pytest.raises((VistaError, duckdb.Error), match=said):
            run(f"SELECT fc6 FROM {CALL.format(f'images => {images}')}", {})
