"""TRANSFER of boxes: what is read and inferred, what errors say, and that no plan changes a bit."""

from __future__ import annotations

import cv2
import duckdb
import numpy as np
import pytest
from foods import texts
from hypothesis import given, settings
from hypothesis import strategies as st
from inferences import Count, images_db
from vista_sql.udfs.network.regions import pooled

import vista_sql
from vista_sql.errors import VistaError

BOXES = """
CREATE TABLE boxes AS
SELECT i % 12 AS id, i AS box, (i * 7 % 13) / 2 AS x, i * 5 % 9 AS y,
       3 + i % 6 AS width, 4 + i % 5 AS height, 'l' || i % 3 AS label
FROM range(96) AS r(i)
"""
N_BOXES, N_IMAGES = 96, 12


@pytest.fixture(params=["query", "attach"])
def db(request, tmp_path):
    with images_db(tmp_path, request.param) as session:
        session.con.execute(BOXES)
        yield session


def transfer(layers="'c3'", **arguments):
    shown = "".join(f", {name} => {value}" for name, value in arguments.items())
    return f"TRANSFER(cnn => 'lenet5', layers => [{layers}], boxes => 'boxes'{shown})"


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("region", ["'roi_pool'", "'roi_align'"])
def test_an_image_has_one_map_however_many_boxes(db, region, is_stored):
    count, how = Count(db), {} if is_stored else {"store": "false"}
    statement = f"SELECT box, c3, error FROM {transfer(region=region, batch_rows=5, **how)}"
    rows = count(statement)
    assert len(rows) == N_BOXES
    assert count.images_inferred == N_IMAGES  # of 96 boxes, in calls of 5 rows
    again = count(statement)
    assert texts(again) == texts(rows)
    assert count.images_inferred == (0 if is_stored else N_IMAGES)
    other = "'roi_pool'" if region == "'roi_align'" else "'roi_align'"
    count(f"SELECT box, c3 FROM {transfer(region=other, **how)}")
    assert count.images_inferred == (0 if is_stored else N_IMAGES)  # it is a map that is kept


def test_a_crop_is_an_image_of_its_own_and_its_image_is_decoded_once(db):
    count = Count(db)
    statement = f"SELECT box, f6 FROM {transfer(layers=repr('f6'))}"
    rows = count(statement)
    assert count.images_inferred == N_BOXES
    assert count.decoded == N_IMAGES
    assert texts(count(statement)) == texts(rows)
    assert (count.images_inferred, count.decoded) == (0, 0)
    db.con.execute("INSERT INTO boxes VALUES (3, 1000, 1, 1, 5, 5, 'new')")
    count(statement)
    assert count.images_inferred == 1


def test_crops_are_those_pixels_as_images(db):
    """A crop's features are those of an image that holds these pixels and nothing else."""
    picture = np.random.default_rng(3).integers(0, 255, (40, 50, 3), np.uint8)
    part = picture[6:31, 10:37]
    images = [cv2.imencode(".png", one)[1].tobytes() for one in (picture, part)]
    db.con.execute("CREATE TABLE two AS SELECT 1 AS id, $1::BLOB AS image", [images[0]])
    db.con.execute("CREATE TABLE alone AS SELECT 1 AS id, $1::BLOB AS image", [images[1]])
    call = "TRANSFER(cnn => 'lenet5', layers => ['c3', 'f6'], images => '{}'{})"
    box = ", boxes => $$SELECT 1 AS id, 10 AS x, 6 AS y, 27 AS width, 25 AS height$$"
    (cut,) = db.run(f"SELECT c3, f6 FROM {call.format('two', box)}").fetchall()
    (alone,) = db.run(f"SELECT c3, f6 FROM {call.format('alone', '')}").fetchall()
    assert texts([cut]) == texts([alone])


def test_regions_are_of_the_map_that_transfer_gives(db):
    """Of the raw map of pool => 'none', by the formula and the way from image to map."""
    maps = dict(
        db.run(
            "SELECT id, c1 FROM TRANSFER(cnn => 'lenet5', layers => ['c1'], pool => 'none')"
        ).fetchall()
    )
    layers = transfer(layers="'c1'", region="'roi_align'", store="false")
    found = db.run(f"SELECT id, x, y, width, height, c1 FROM {layers}").fetchall()
    side, channels = 28, 6  # of c1; images are of 16 × 16 pixels, the input of 32 × 32
    for key, x, y, width, height, features in found:
        scale = side / 16
        box = [x, y, min(x + width, 16), min(y + height, 16)]
        feature_map = np.array(maps[key], np.float32).reshape(side, side, channels)
        wanted = pooled(feature_map, np.array([box]) * scale, "roi_align", "avg2x2")
        assert np.array_equal(np.array(features, np.float32), wanted[0])


@pytest.mark.parametrize("region", ["'crop'", "'roi_pool'", "'roi_align'"])
def test_no_plan_batch_or_store_changes_a_bit(db, region):
    ways = [("'lazy'", 7), ("'distinct'", 1)]
    if region == "'crop'":
        ways += [("'eager'", 5), ("'staged'", 16)]
    statement = "SELECT box, c1, c3, error FROM {} ORDER BY box"
    ask = {"region": region, "layers": "'c1', 'c3'"}
    expected = texts(db.run(statement.format(transfer(**ask, store="false"))).fetchall())
    for plan, batch in ways:
        call = transfer(**ask, store="false", plan=plan, batch_rows=batch)
        assert texts(db.run(statement.format(call)).fetchall()) == expected, (plan, batch)
    db.run(f"SELECT c1 FROM {transfer(region=region, layers=repr('c1'))}").fetchall()
    for stored in ("one of two layers", "all"):
        found = db.run(statement.format(transfer(**ask))).fetchall()
        assert texts(found) == expected, stored


def test_rows_that_a_filter_removes_are_never_read(db):
    count = Count(db)
    call = transfer(region="'roi_align'", store="false")
    rows = count(f"SELECT box, c3 FROM {call} WHERE label = 'l1' AND id IN (1, 4)")
    assert len(rows) == len({(i % 12, i) for i in range(96) if i % 3 == 1 and i % 12 in (1, 4)})
    assert count.images_inferred == 2
    count(f"SELECT count(*) FROM {call} WHERE width > 3")
    assert count.images_inferred == 0


def test_limits_are_pushed_below_inference(tmp_path):
    with images_db(tmp_path, "query") as db:
        db.con.execute(BOXES)
        count = Count(db)
        call = transfer(region="'crop'", store="false")
        assert len(count(f"SELECT box, c3 FROM {call} ORDER BY width DESC, box LIMIT 4")) == 4
        assert count.images_inferred == 4
        planned = db.explain(f"SELECT box, c3 FROM {transfer(region=repr('roi_pool'))}")
        assert "region: roi_pool (one map an image, each box pooled from it by max2x2)" in planned
        assert f"rows: {N_BOXES}; distinct images: about {N_IMAGES}" in planned


BAD = {
    "boxes => 'boxs'": "did you mean 'boxes'",
    "boxes => 'images'": "unknown column 'x' in boxes => images",
    "boxes => $$SELECT * REPLACE ('1' AS x) FROM boxes$$": "column 'x' of boxes is VARCHAR",
    "boxes => 'boxes', structured => 'boxes'": "both have a column 'box'",
    "boxes => $$SELECT *, 1 AS error FROM boxes$$": "adds a column 'error', which the relation of",
    "boxes => 'boxes', region => 'roi'": "unknown region 'roi'",
    "region => 'crop'": "region => 'crop' needs boxes => …",
    "boxes => 'boxes', region => 'roi_pool', pool => 'gap'": "takes pool => 'max2x2' or 'gmp', not",
    "boxes => 'boxes', region => 'roi_align', layers => ['f6']": "has 84 values and is no map",
    "boxes => 'boxes', region => 'roi_align', plan => 'eager'": "take plan => 'fused'",
}


@pytest.mark.parametrize("arguments", BAD)
def test_bad_arguments_say_what_to_do(arguments):
    with vista_sql.connect() as db:
        db.con.execute("CREATE TABLE images AS SELECT 1 AS id, 'a.png' AS path")
        db.con.execute(BOXES)
        layers = "" if "layers" in arguments else "layers => ['c3'], "
        with pytest.raises(VistaError) as caught:
            db.query(f"FROM TRANSFER(cnn => 'lenet5', {layers}{arguments})")
        assert BAD[arguments] in str(caught.value)
        assert db.query("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize("region", ["'crop'", "'roi_align'"])
def test_a_row_without_a_box_on_its_image_says_why(db, region):
    db.con.execute(
        "CREATE OR REPLACE TABLE boxes AS SELECT * FROM (VALUES (0, 1, 1, 5, 5, NULL), "
        "(0, NULL, 1, 5, 5, 'no x'), (0, 1, 1, -5, 5, 'no area'), (1, 16, 1, 5, 5, 'outside'), "
        "(1, 1, 1, 'inf'::DOUBLE, 5, 'width of the box is infinite'), "
        "(1, -2, -2, 4, 4, NULL)) AS v(id, x, y, width, height, expected)"
    )
    rows = db.run(f"SELECT expected, error, c3 FROM {transfer(region=region)}").fetchall()
    assert len(rows) == 6
    for expected, error, features in rows:
        assert (error is None) == (expected is None) == (features is not None)
        assert expected is None or expected in error
    kept = f"SELECT count(*) FROM {transfer(region=region, on_error=repr('skip'))}"
    assert db.run(kept).fetchall() == [(2,)]
    with pytest.raises((VistaError, duckdb.Error), match=r"the box"):
        db.run(f"SELECT c3 FROM {transfer(region=region, on_error=repr('raise'))}").fetchall()
    cropped = transfer(region=region, fit="'crop'")
    assert db.run(f"SELECT count(c3) FROM {cropped}").fetchall() == [(2,)]


def test_what_looks_at_whole_images_takes_no_boxes(db):
    db.con.execute(
        "CREATE TABLE prepared AS FROM VISTA_PREPARE(cnn => 'lenet5', images => 'images')"
    )
    own = "cnn => 'lenet5', layers => ['c3'], boxes => 'boxes'"
    for call in (f"VISTA_DUPLICATES({own})", f"TRANSFER({own}, images => 'prepared')"):
        with pytest.raises((VistaError, duckdb.Error), match="boxes"):
            db.run(f"SELECT * FROM {call}").fetchall()


BOX = st.tuples(*[st.integers(-8, 20)] * 2, *[st.integers(0, 20)] * 2)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), BOX), min_size=1, max_size=20))
def test_errors_agree_whether_features_are_asked_for_or_not(regions_db, drawn):
    db = regions_db
    values = ", ".join(f"({key}, {', '.join(map(str, box))})" for key, box in drawn)
    boxes = f"$$SELECT * FROM (VALUES {values}) AS v(id, x, y, width, height)$$"
    for region in ("crop", "roi_pool"):
        call = (
            f"TRANSFER(cnn => 'lenet5', layers => ['c3'], boxes => {boxes}, "
            f"region => '{region}', store => false)"
        )
        # both of rows that are not told apart otherwise
        with_features = db.con.sql(f"SELECT error, c3 IS NULL AS no FROM {call}").fetchall()
        alone = db.con.sql(f"SELECT error FROM {call}").fetchall()
        assert sorted(map(str, alone)) == sorted(str((error,)) for error, _ in with_features)
        assert all((error is not None) == no for error, no in with_features)
        outside = sum(
            w == 0 or h == 0 or not (x < 16 and y < 16 and x + w > 0 and y + h > 0)
            for _, (x, y, w, h) in drawn
        )
        assert sum(no for _, no in with_features) == outside


@pytest.fixture(scope="module")
def regions_db(tmp_path_factory):
    with images_db(tmp_path_factory.mktemp("regions"), "attach") as session:
        yield session
