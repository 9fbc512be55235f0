"""Neighbours, duplicates and outliers as a user asks for them, and what is wrong with bad input."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pyarrow as pa
import pytest

import vista_sql
from vista_sql.errors import ArgumentError, ModelError, UnknownNameError
from vista_sql.hosts.duckdb.process import process

LAYER = "cnn => 'lenet5', layer => 'fc6'"
N = 12


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (24, 20, 3), np.uint8)


def encoded(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


@pytest.fixture(scope="module")
def db():
    rows = [(key, encoded(picture(key))) for key in range(N)]
    rows += [
        (N, encoded(picture(3))),  # the same bytes
        (N + 1, encoded(picture(5), ".bmp")),  # the same pixels in another file
        (N + 2, encoded(np.minimum(picture(7), 250))),  # nearly the same
        (N + 3, b"no image"),
        (N + 4, b"no image"),
        (N + 5, None),
    ]
    with vista_sql.connect() as session:
        keys, images = zip(*rows, strict=True)
        session.con.register("given", pa.table({"id": keys, "image": images}))
        session.con.execute("CREATE TABLE images AS FROM given")
        session.con.execute("CREATE TABLE fine AS FROM images WHERE id < 12")
        session.con.execute(
            "CREATE TABLE features AS SELECT id, [sin(id), cos(id), 1]::FLOAT[3] AS v, "
            "[id, 1]::FLOAT[] AS w FROM images"
        )
        yield session


def rows(db, text):
    return db.query(text).arrow().to_pylist()


def test_images_are_the_same_by_bytes_by_pixels_or_nearly(db):
    with pytest.warns(vista_sql.errors.UnreadableImagesWarning):
        found = rows(db, f"FROM VISTA_DUPLICATES({LAYER}, images => 'images')")
    assert [(r["id"], r["representative_id"], r["group_id"], r["kind"]) for r in found] == [
        (3, 3, 1, None), (N, 3, 1, "same bytes"),
        (5, 5, 2, None), (N + 1, 5, 2, "same pixels"),
        (7, 7, 3, None), (N + 2, 7, 3, "near"),
        (N + 3, N + 3, 4, None), (N + 4, N + 3, 4, "same bytes"),
    ]  # fmt: skip
    assert [r["distance"] for r in found[:3]] == [0, 0, 0]
    assert 0 < found[5]["distance"] < 0.01
    assert found[7]["distance"] is None


def test_of_a_structured_relation_only_its_images_are_compared(db):
    found = rows(
        db,
        f"FROM VISTA_DUPLICATES({LAYER}, images => 'images', structured => "
        "'(SELECT id AS n, 1.5 AS price FROM images WHERE id IN (3, 7, 12))', key => ['n', 'id'])",
    )
    assert [(r["id"], r["kind"]) for r in found] == [(3, None), (12, "same bytes")]


def test_of_features_only_near_ones_are_told(db):
    kinds = rows(
        db,
        "SELECT DISTINCT kind FROM VISTA_DUPLICATES($$FROM TRANSFER(cnn => 'lenet5', "
        "layers => ['fc6'], images => 'fine')$$, threshold => 2)",
    )
    assert {row["kind"] for row in kinds} == {None, "near"}


def test_each_image_is_inferred_once_and_one_layer_computed(db):
    before = rows(db, "SELECT count(*) AS n FROM VISTA_RUNS()")[0]["n"]
    new = pa.table({"id": range(N), "image": [encoded(picture(100 + i)) for i in range(N)]})
    db.con.register("new", new)
    rows(db, f"FROM VISTA_NEIGHBORS({LAYER}, images => 'new', k => 1)")
    (run,) = rows(db, "FROM VISTA_RUNS() LIMIT 1")
    assert rows(db, "SELECT count(*) AS n FROM VISTA_RUNS()")[0]["n"] == before + 1
    assert (run["images"], run["images_inferred"]) == (N, N)
    explained = db.explain(f"FROM VISTA_NEIGHBORS({LAYER}, images => 'fine')")
    assert re.search(r"\bf6\b", explained)
    assert not re.search(r"\bc5\b", explained)  # a name made up may hold it


def test_arguments_stand_in_the_documented_order(db):
    named = "layer => 'v', k => 2, reference => '(FROM features WHERE id < 9)', key => 'id'"
    placed = "'v', 2, '(FROM features WHERE id < 9)', 'id'"
    calls = [f"FROM VISTA_OUTLIERS('features', {arguments})" for arguments in (named, placed)]
    assert rows(db, calls[0]) == rows(db, calls[1])


def test_of_several_layers_one_is_chosen_and_computed(db):
    call = "VISTA_OUTLIERS(cnn => 'lenet5', {}layer => 'pool1', images => 'fine', pool => 'none')"
    several = call.format("layers => ['fc6', 'pool1'], ")
    assert rows(db, f"FROM {several}") == rows(db, f"FROM {call.format('')}")
    explained = db.explain(f"FROM {several}")
    assert re.search(r"\bs2\b", explained)
    assert not re.search(r"\bf6\b", explained)


def test_queries_become_features_as_the_data_does(db):
    found = rows(
        db,
        f"FROM VISTA_NEIGHBORS({LAYER}, images => 'fine', k => 1, "
        "queries => '(SELECT id AS id, image FROM images WHERE id IN (12, 13))')",
    )
    assert [(row["id"], row["neighbor_id"], row["distance"]) for row in found] == [
        (12, 3, 0),
        (13, 5, pytest.approx(0, abs=1e-4)),  # gray by another decoder
    ]


def maps(db):
    table = db.query(
        "SELECT id, conv2 FROM TRANSFER(cnn => 'lenet5', layers => ['conv2'], images => 'fine', "
        "pool => 'none') ORDER BY id"
    ).arrow()
    return np.stack(table["conv2"].to_pylist()).reshape(N, 100, 16).astype(float)


@pytest.mark.parametrize("reference", [False, True])
def test_places_of_a_map_are_as_far_as_their_nearest_place_in_another_image(db, reference):
    x = maps(db)[:6]
    argument = ", reference => '(FROM fine WHERE id BETWEEN 4 AND 8)'" if reference else ""
    found = rows(
        db,
        "FROM VISTA_OUTLIERS(cnn => 'lenet5', layer => 'conv2', pool => 'none', "
        f"images => '(FROM fine WHERE id < 6)'{argument}) ORDER BY id",
    )
    others = [range(4, 9) if reference else [j for j in range(6) if j != i] for i in range(6)]
    every = maps(db)
    for i, row in enumerate(found):
        memory = np.concatenate([every[j].reshape(-1, 16) for j in others[i]])
        far = np.sqrt(((x[i].reshape(-1, 1, 16) - memory) ** 2).sum(axis=2).min(axis=1))
        assert np.allclose(np.array(row["heatmap"]).ravel(), far, atol=1e-6)
        assert row["score"] == pytest.approx(far.max())
        at = far.argmax()
        place = ((x[i].reshape(-1, 16)[at] - memory) ** 2).sum(axis=1).argmin()
        assert row["nearest_id"] == list(others[i])[place // 100]


@pytest.mark.parametrize("kind", ["VARCHAR", "UUID", "DATE", "STRUCT(a INTEGER)", "DECIMAL(9,2)"])
def test_keys_keep_their_type_and_order(db, kind):
    value = {
        "VARCHAR": "chr(65 + i::INTEGER)",
        "UUID": "('00000000-0000-0000-0000-00000000000' || i)::UUID",
        "DATE": "DATE '2024-01-01' + i::INTEGER",
        "STRUCT(a INTEGER)": "{'a': i::INTEGER}",
        "DECIMAL(9,2)": "i / 4",
    }[kind]
    data = f"SELECT ({value})::{kind} AS k, [1, i % 2]::FLOAT[] AS v FROM range(6) AS t(i)"
    result = db.query(f"FROM VISTA_NEIGHBORS($${data}$$, key => 'k', k => 1)")
    assert result.types[:2] == [kind, kind]
    ids = [row[0] for row in db.query(f"SELECT k FROM ({data}) ORDER BY k").fetchall()]
    near = [ids[2], ids[3], ids[0], ids[1], ids[0], ids[1]]  # of those alike the least key
    assert [row[:2] for row in result.fetchall()] == list(zip(ids, near, strict=True))


def test_one_row_and_no_row(db):
    assert rows(db, "FROM VISTA_NEIGHBORS('FROM features WHERE id = 1', layer => 'v')") == []
    assert rows(db, "FROM VISTA_NEIGHBORS('FROM features WHERE false', layer => 'v')") == []
    assert rows(db, "FROM VISTA_OUTLIERS('FROM features WHERE id = 1', layer => 'v')") == [
        {"id": 1, "score": None, "rank": 1, "nearest_id": None}
    ]
    assert rows(db, "FROM VISTA_DUPLICATES('FROM features WHERE false', layer => 'v')") == []
    near = rows(db, "FROM VISTA_NEIGHBORS('features', layer => 'v', k => 1000)")
    assert len(near) == 18 * 17  # all others


def test_rows_that_are_left_out_are_counted(db, caplog):
    found = rows(
        db,
        "FROM VISTA_NEIGHBORS($$SELECT id, CASE id WHEN 1 THEN NULL WHEN 2 THEN [0, 0] "
        "WHEN 3 THEN ['nan'::FLOAT, 1] ELSE w END AS w FROM features$$, k => 1)",
    )
    assert not {1, 2, 3} & {row["id"] for row in found} | {1, 2, 3} & {
        row["neighbor_id"] for row in found
    }
    assert caplog.messages == [
        "3 of the 18 rows in data of VISTA_NEIGHBORS are left out: 'w' is NULL or not finite in 2, "
        "'w' is zero, which has no direction in 1"
    ]


WRONG = {
    "VISTA_NEIGHBORS('features')": (ModelError, "has several layers, 'v', 'w': give layer"),
    "VISTA_NEIGHBORS('SELECT 1 AS id, 2 AS two')": (ModelError, "has no layer.* are 'id', 'two'"),
    "VISTA_NEIGHBORS('features', layer => 'vv')": (UnknownNameError, "did you mean 'v'"),
    "VISTA_NEIGHBORS('features', layer => 'id')": (ModelError, "'id' of the data .* has type int"),
    "VISTA_NEIGHBORS('features', layer => 'v', key => 'idd')": (
        UnknownNameError,
        "did you mean 'id'",
    ),
    "VISTA_NEIGHBORS('features', layer => 'v', k => 0)": (ArgumentError, "k must be a whole"),
    "VISTA_NEIGHBORS('features', layer => 'v', metric => 'l1')": (UnknownNameError, "'l1'"),
    "VISTA_NEIGHBORS('features', layer => 'v', key => ['a', 'b'])": (ArgumentError, "data is one"),
    "VISTA_NEIGHBORS('features', layer => 'v', queries => 'SELECT id, w AS v FROM features')": (
        ModelError,
        "of . values where others have .: the data and the queries must be of one layer",
    ),
    "VISTA_NEIGHBORS('SELECT id, []::FLOAT[] AS v FROM features')": (
        ModelError,
        "empty lists, which are no features: make them NULL",
    ),
    "VISTA_NEIGHBORS('features', cnn => 'lenet5')": (ArgumentError, "exclude each other"),
    "VISTA_NEIGHBORS()": (ArgumentError, "needs data => …, or cnn"),
    "VISTA_NEIGHBORS(cnn => 'lenet5', images => 'fine')": (ArgumentError, "one of .*fc6"),
    "VISTA_NEIGHBORS(cnn => 'lenet5', images => 'fine', layer => 'fc9')": (
        UnknownNameError,
        "'fc9'",
    ),
    "VISTA_OUTLIERS(cnn => 'lenet5', layers => ['conv2', 'fc6'], layer => 'fc5', images => 'fine', "
    "pool => 'none')": (UnknownNameError, "'fc5' in layers => …; did you mean 'fc6'"),
    "VISTA_OUTLIERS('SELECT id, [0]::FLOAT[] AS v FROM features')": (
        ModelError,
        "nothing can be compared in any of the 18 rows",
    ),
    "VISTA_OUTLIERS(cnn => 'lenet5', layer => 'conv1', images => 'fine', pool => 'none', k => 2)": (
        ArgumentError,
        "leave k out",
    ),
    "VISTA_DUPLICATES('features', layer => 'v', threshold => -1)": (ArgumentError, "threshold"),
}


@pytest.mark.parametrize("call", WRONG)
def test_what_is_wrong_is_said(db, call):
    kind, words = WRONG[call]
    with pytest.raises(kind, match=words):
        db.query(f"FROM {call}").arrow()
    assert len(process().runtime.fed_runs) == 0


def test_memory_that_is_short_changes_nothing(db, monkeypatch):
    text = "FROM VISTA_NEIGHBORS('features', layer => 'v', k => 3{})"
    whole = rows(db, text.format(""))
    assert rows(db, text.format(", memory_limit => '1MB'")) == whole


def test_a_layer_is_a_number_from_the_top_where_the_call_transfers(db):
    by_name = db.query(f"FROM VISTA_NEIGHBORS({LAYER}, images => 'images', k => 2)").fetchall()
    by_number = LAYER.replace("'fc6'", "-1")
    found = db.query(f"FROM VISTA_NEIGHBORS({by_number}, images => 'images', k => 2)").fetchall()
    assert found == by_name
    for layer, said in (("-9", "numbers count from the top"), ("true", "a name or a negative")):
        with pytest.raises(ArgumentError, match=said):
            db.query(f"FROM VISTA_NEIGHBORS(cnn => 'lenet5', layer => {layer}, images => 'images')")


def test_rows_of_several_layers_are_not_mixed(db):
    def neighbors(transfer, more=""):
        data = f"SELECT * FROM TRANSFER(cnn => 'lenet5', images => 'images', {transfer})"
        return db.query(f"FROM VISTA_NEIGHBORS($${data}$$, k => 2{more})")

    with pytest.raises(ArgumentError, match=re.escape("of 2 layers (conv3, fc6), and")):
        neighbors("layers => ['conv3', 'fc6'], format => 'long'")
    with pytest.raises(ArgumentError, match="counts a network's layers"):
        neighbors("layers => ['conv3', 'fc6']", ", layer => -1")
    assert (
        neighbors("layers => 'fc6', format => 'long'").fetchall()
        == neighbors("layers => 'fc6'").fetchall()
    )
