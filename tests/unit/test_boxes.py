"""VISTA_IOU and VISTA_NMS against their definitions, written as loops."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vista_sql

SIDE = st.one_of(st.none(), st.integers(-2, 9))
BOX = st.tuples(*[SIDE] * 4)
SCORE = st.one_of(st.none(), st.sampled_from([0.1, 0.5, 0.9]))
ROW = st.tuples(st.sampled_from(["a", "b", None]), BOX, SCORE)


@pytest.fixture(scope="module")
def db():
    with vista_sql.connect() as db:
        yield db


def iou(a, b):
    if None in (*a, *b):
        return None
    areas = [max(box[2], 0) * max(box[3], 0) for box in (a, b)]
    sides = [max(min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]), 0) for i in (0, 1)]
    both = sides[0] * sides[1]
    return both / (sum(areas) - both) if sum(areas) - both > 0 else 0.0


def last(value):
    """Return a sort key that puts None last."""
    return (value is None, value or 0)


def nms(rows, threshold):
    kept = []
    order = sorted(
        (row for row in rows if row[3] is not None), key=lambda r: (-r[3], r[0], *map(last, r[2]))
    )
    for row in order:
        overlaps = (iou(row[2], other[2]) for other in kept if other[1] == row[1])
        if all(overlap is None or overlap <= threshold for overlap in overlaps):
            kept.append(row)
    return sorted(row[0] for row in kept)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(BOX, BOX), min_size=1, max_size=30))
def test_iou_is_the_shared_area_over_the_covered(db, pairs):
    names = ("x", "y", "width", "height")
    table = pa.table({
        side: pa.array([dict(zip(names, pair[i], strict=True)) for pair in pairs],
                       pa.struct([(name, pa.int32()) for name in names]))
        for i, side in enumerate(("a", "b"))
    })  # fmt: skip
    db.con.register("pairs", table)
    found = db.con.execute("SELECT VISTA_IOU(a, b), VISTA_IOU(b, a) FROM pairs").fetchall()
    for (one, other), (a, b) in zip(found, pairs, strict=True):
        assert one == other == (None if None in (*a, *b) else pytest.approx(iou(a, b)))


@settings(max_examples=25, deadline=None)
@given(st.lists(ROW, max_size=25), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_nms_keeps_what_its_definition_keeps(db, drawn, threshold):
    rows = [(key, by, box, score) for key, (by, box, score) in enumerate(drawn)]
    table = pa.table({
        "id": pa.array([row[0] for row in rows], pa.int32()),
        "label": pa.array([row[1] for row in rows], pa.string()),
        **{name: pa.array([row[2][i] for row in rows], pa.float64())
           for i, name in enumerate(("x", "y", "width", "height"))},
        "score": pa.array([row[3] for row in rows], pa.float64()),
    })  # fmt: skip
    db.con.register("found", table)
    kept = db.query(
        f"SELECT id FROM VISTA_NMS(data => 'found', threshold => {threshold}, by => 'label')"
    ).fetchall()
    assert sorted(key for (key,) in kept) == nms(rows, threshold)


def test_a_large_group_is_suppressed_as_a_small_one(db):
    """More boxes than are compared at a time, far fewer and nearly all of which are kept."""
    random = np.random.default_rng(7)
    for side, threshold in ((3, 0.2), (30, 0.4)):
        boxes = random.integers(0, 60, (400, 4)) % [60, 60, side, side]
        rows = [(i, None, tuple(map(int, box)), i % 200) for i, box in enumerate(boxes)]
        columns = ("id", "label", "box", "score")
        db.con.register("many", pa.Table.from_pylist([
            dict(zip(columns, row, strict=True))
            | dict(zip(("x", "y", "width", "height"), row[2], strict=True))
            for row in rows
        ]))  # fmt: skip
        data = "(SELECT * EXCLUDE (box) FROM many)"
        kept = db.query(f"SELECT id FROM VISTA_NMS($${data}$$, threshold => {threshold})")
        assert sorted(key for (key,) in kept.fetchall()) == nms(rows, threshold)


def test_a_nan_score_comes_last_and_a_nan_side_overlaps_nothing(db):
    rows = "(1, '0', 'nan'), (2, '1', '-inf'), (3, 'nan', 'nan'), (4, '0', NULL)"
    box = "x::DOUBLE AS x, 0 AS y, 9 AS width, 9 AS height"
    data = f"(SELECT id, {box}, s::DOUBLE AS score FROM (VALUES {rows}) v(id, x, s))"
    kept = db.query(f"SELECT id FROM VISTA_NMS($${data}$$) ORDER BY id")
    assert kept.fetchall() == [(2,), (3,)]


def test_aliases_of_tables_are_boxes(db):
    db.con.execute(
        "CREATE OR REPLACE TABLE truth AS "
        "SELECT 1 AS id, 0 AS x, 0 AS y, 10 AS width, 10 AS height;"
        "CREATE OR REPLACE TABLE guess AS SELECT * REPLACE (7 AS id, 5 AS x) FROM truth"
    )
    statement = (
        "SELECT g.id, VISTA_IOU(t, g) FROM truth AS t JOIN guess AS g ON VISTA_IOU(t, g) > .3"
    )
    assert db.query(statement).fetchall() == [(7, pytest.approx(1 / 3))]
    assert db.query("SELECT VISTA_IOU(NULL, t) FROM truth AS t").fetchall() == [(None,)]


def test_a_suppressed_box_suppresses_nothing(db):
    """A chain: the second overlaps the first, the third only the second."""
    rows = "(VALUES (1, 0, .9), (2, 4, .8), (3, 8, .7)) AS v(id, x, score)"
    data = f"(SELECT *, 0 AS y, 10 AS width, 10 AS height FROM {rows})"
    kept = db.query(f"SELECT id FROM VISTA_NMS($${data}$$, threshold => .3) ORDER BY id")
    assert kept.fetchall() == [(1,), (3,)]


def test_ties_go_by_key_and_other_columns_stay(db):
    box = "0 AS x, 0 AS y, 1 AS width, 1 AS height"
    data = f"(SELECT 3 - i AS k, {box}, .5 AS s, [i] AS more FROM range(3) AS r(i))"
    found = db.query(f"FROM VISTA_NMS(data => $${data}$$, score => 's', key => 'k')")
    assert found.columns == ["k", "x", "y", "width", "height", "s", "more"]
    assert found.fetchall() == [(1, 0, 0, 1, 1, pytest.approx(0.5), [2])]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("data => 'guess', threshold => 2", "threshold must be a number in \\[0, 1\\], not 2"),
        ("data => 'guess', score => 'with'", "unknown score column 'with' .* mean 'width'"),
        ("data => 'guess', score => 'x', by => 'image'", "unknown by column 'image'"),
        ("data => 'guess', score => 'x', key => 'k'", "unknown key column 'k'"),
        ("data => 'guess', score => 'x'", "unknown column 'height' in the data of VISTA_NMS"),
        ("data => 'SELECT *, 1 AS height, ''9'' AS score FROM guess'", "'score' .* is VARCHAR"),
        ("data => 'nowhere'", "nowhere"),
        ("score => 'x'", "VISTA_NMS needs data => …"),
    ],
)
def test_bad_arguments_are_told(db, arguments, said):
    db.con.execute("CREATE OR REPLACE TABLE guess AS SELECT 7 AS id, 5 AS x, 0 AS y, 3 AS width")
    with pytest.raises((vista_sql.VistaError, duckdb.Error), match=said):
        db.query(f"FROM VISTA_NMS({arguments})").fetchall()
