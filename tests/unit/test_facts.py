"""What is known of the data before it is planned."""

from __future__ import annotations

import os

import cv2
import foods
import numpy as np
import pyarrow as pa
import pytest

from vista_sql.hosts.duckdb.database import Seen
from vista_sql.planning import facts
from vista_sql.planning.workload import Facts
from vista_sql.sql import parse

T = "TRANSFER(cnn => 'lenet5', layers => ['f6'], {})"


FAN = T.format("structured => 'fan'")


@pytest.fixture(scope="module")
def db():
    with foods.connect() as session:
        session.con.execute(
            "CREATE TABLE fan AS SELECT unnest([1, 1, 1, 2, 9, 9, NULL, 50]) AS id, 1.5 AS price;"
            "CREATE TABLE paths AS SELECT i AS id, '/no/' || (i % 3) || '.png' AS p "
            "FROM range(9) AS r(i)"
        )
        yield session


def of(db, arguments, where=""):
    (statement,) = parse.parse(f"SELECT f6 FROM {T.format(arguments)} {where}")
    return db._planned(statement).transfers[-1].workload.facts


def test_small_images_are_told_by_their_bytes(db):
    found = of(db, "structured => 'fan'")
    size = db.con.sql("SELECT avg(octet_length(image)) FROM images").fetchall()[0][0]
    assert found == Facts(
        6, 6, 2, True, size, 12, decoding_bytes=20 * 20 * 6
    )  # the images of 2 and 9 are the same


def test_predicates_and_limits_run_before(db):
    assert of(db, "structured => 'fan'", "WHERE id < 3").rows == 4
    assert of(db, "structured => 'fan'", "ORDER BY id LIMIT 2").rows == 2
    left = of(db, "structured => 'fan', join_type => 'left'")
    assert (left.rows, left.images) == (8, 6)


def test_paths_are_told_by_their_text(db):
    found = of(db, "images => 'paths'")
    assert found == Facts(9, 9, 3, True, None, 9)


def test_large_images_are_not_read(db, monkeypatch):
    monkeypatch.setattr(facts, "EXACT_BYTES", 100)
    asked = []
    counts = Seen.counts
    monkeypatch.setattr(
        Seen, "counts", lambda self, query: asked.append(query) or counts(self, query)
    )
    found = of(db, "structured => 'fan'")
    assert (found.rows, found.images, found.exact) == (6, 6, False)
    assert found.distinct_images == round(3 * 12 / 10)  # keys met, by the images of a key
    sides, rows = asked
    assert sides.count('"image"') == 1  # the sample's
    assert '"image"' not in rows
    alone = of(db, "images => 'images'")
    assert (alone.rows, alone.images, alone.distinct_images, alone.exact) == (12, 12, 12, False)


def test_what_is_inferred_is_not_counted(db):
    nested = "(SELECT id, f6[1] AS x FROM TRANSFER(cnn => ''lenet5'', layers => [''f6'']))"
    assert of(db, f"structured => '{nested}', prefix => 'p'") == Facts()


@pytest.fixture
def awkward(db):
    db.con.execute(
        "CREATE TABLE few AS SELECT unnest([1, 2]) AS id;"
        "CREATE VIEW anyone AS SELECT id FROM few ORDER BY random() LIMIT 1;"
        "CREATE VIEW ranked AS SELECT id FROM few QUALIFY row_number() OVER () = 1;"
        "CREATE VIEW half AS SELECT id FROM (SELECT id, random() AS r FROM few) WHERE r < 0.5;"
        "CREATE VIEW means AS SELECT id FROM few GROUP BY id HAVING avg(id / 3) < 9;"
        "CREATE VIEW hidden AS SELECT id FROM half;"
        f"CREATE VIEW inferred AS SELECT id FROM {T.format('')} WHERE f6[1] > 0"
    )
    yield db
    db.con.execute(
        "DROP VIEW anyone; DROP VIEW ranked; DROP VIEW inferred; DROP VIEW half;"
        "DROP VIEW means; DROP VIEW hidden; DROP TABLE few"
    )


def cuts(db, clause):
    (statement,) = parse.parse(f"SELECT t.f6 FROM {FAN} AS t {clause}")
    return db._planned(statement).transfers[-1].workload.needs


def test_semi_joins_that_cut_are_kept(awkward):
    found = cuts(awkward, "JOIN few USING (id)")
    assert found.cuts == (f"{found.semi_joins[0]}: keeps 4 of 8 rows",)
    assert cuts(awkward, "WHERE id IN (SELECT id FROM fan)").cuts[0].endswith("keeps 7 of 8 rows")
    everything = cuts(awkward, "JOIN fan AS f ON f.price = t.price")
    assert everything.semi_joins == ()
    assert everything.cuts[0].endswith("it keeps all 8 rows")


@pytest.mark.parametrize("view", ["anyone", "ranked", "inferred", "half", "means", "hidden"])
def test_views_that_may_differ_or_infer_are_not_read_twice(awkward, view):
    found = cuts(awkward, f"JOIN {view} USING (id)")
    assert found.semi_joins == ()
    assert "other rows when it is evaluated again" in found.cuts[0]
    top = cuts(awkward, f"WHERE id IN (SELECT id FROM {view}) ORDER BY price LIMIT 1")
    assert (top.semi_joins, top.limit, top.order) == ((), None, ())


def test_dear_sub_queries_stay_above(awkward, monkeypatch):
    monkeypatch.setattr(facts, "ROWS_PER_SECOND", 10.0)
    (said,) = cuts(awkward, "JOIN few USING (id)").cuts
    assert said.endswith("dear beside inference")


def test_nothing_is_asked_where_no_image_is_read(awkward):
    (statement,) = parse.parse(f"SELECT t.price FROM {FAN} AS t JOIN few USING (id)")
    assert awkward._planned(statement).transfers[-1].workload.needs.semi_joins == ()


def test_a_reader_is_read_once(db):
    rows = pa.table({"id": pa.array([1, 2], pa.int32())})
    reader = pa.RecordBatchReader.from_batches(rows.schema, iter(rows.to_batches()))
    db.con.register("read_once", reader)
    text = f"SELECT t.f6 FROM {FAN} AS t JOIN read_once USING (id)"
    assert len(db.query(text).fetchall()) == 4
    db.con.register("read_often", rows)
    assert cuts(db, "JOIN read_often USING (id)").semi_joins


def test_planning_opens_no_pipe_and_no_device(tmp_path, db):
    os.mkfifo(tmp_path / "pipe")
    db.con.execute(
        "CREATE TABLE odd AS SELECT 1 AS id, ? AS p UNION ALL SELECT 2, '/dev/zero'",
        [str(tmp_path / "pipe")],
    )
    found = of(db, "images => 'odd'")
    assert (found.image_bytes, found.decoding_bytes) == (None, None)


def test_planning_opens_no_file_of_a_scheme_that_may_not_be_read(tmp_path, db, monkeypatch):
    file = tmp_path / "a.png"
    file.write_bytes(cv2.imencode(".png", np.zeros((3, 5), np.uint8))[1].tobytes())
    db.con.execute("CREATE OR REPLACE TABLE odd AS SELECT 1 AS id, ? AS p", [str(file)])
    found = of(db, "images => 'odd'")
    assert (found.image_bytes, found.decoding_bytes) == (file.stat().st_size, 3 * 5 * 6)
    monkeypatch.setenv("VISTA_SQL_SCHEMES", "s3")
    opened = []
    monkeypatch.setattr(os, "stat", lambda path, **_: opened.append(path))
    found = of(db, "images => 'odd'")
    assert (found.image_bytes, found.decoding_bytes, opened) == (None, None, [])


@pytest.mark.parametrize(
    ("form", "is_inline"),
    [
        ("image", False),
        ("{'bytes': image, 'path': 'a.png'}", False),
        ("to_base64(image)", True),
        ("'data:image/png;base64,' || to_base64(image)", True),
    ],
)
def test_images_that_stand_in_their_column_are_looked_at(form, is_inline, db):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8)
    png = cv2.imencode(".png", pixels)[1].tobytes()
    db.con.execute("CREATE OR REPLACE TABLE pngs AS SELECT 1 AS id, ?::BLOB AS image", [png])
    db.con.execute(f"CREATE OR REPLACE TABLE odd AS SELECT id, {form} AS image FROM pngs")
    found = of(db, "images => 'odd'")
    assert (found.is_inline, found.decoding_bytes) == (is_inline, 60 * 90 * 6)
    assert found.image_bytes == pytest.approx(len(png), rel=0.01)
