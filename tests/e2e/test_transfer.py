"""What TRANSFER's rows are: keys, joins, names, kinds of images, kinds of relations."""

# ruff: noqa: E501 - a statement is a line

from __future__ import annotations

import threading

import duckdb
import foods
import pandas as pd
import pyarrow as pa
import pytest

import vista_sql

A = "cnn => 'lenet5', layers => ['f6']"


def both(db, text):
    """Return a statement's rows, the same whether planned whole or on the bare connection."""
    ours = foods.sorted_rows(db.query(text).fetchall())
    assert foods.sorted_rows(db.con.sql(text).fetchall()) == ours
    assert foods.leftovers(db.con) == []
    return ours


def features(db):
    """Return {image's key: its f6 as a list} of the images that have a key and can be read."""
    rows = db.query(f"SELECT id, f6 FROM TRANSFER({A}) WHERE f6 IS NOT NULL").fetchall()
    return dict(rows)


def test_rows_are_those_of_the_join(foods_db):
    for sql_join, join_type in (("JOIN", "inner"), ("LEFT JOIN", "left")):
        joined = f"SELECT foods.id, price FROM foods {sql_join} images USING (id)"
        text = f"SELECT id, price FROM TRANSFER({A}, structured => 'foods', join_type => '{join_type}')"
        for placement in ("after", "before"):
            placed = text.replace("join_type", f"placement => '{placement}', join_type")
            placed = placed.replace("SELECT id, price", "SELECT id, price, f6")
            rows = foods_db.query(f"SELECT id, price FROM ({placed})").fetchall()
            want = foods_db.con.sql(joined).fetchall()
            assert foods.sorted_rows(rows) == foods.sorted_rows(want)
        assert both(foods_db, text) == foods.sorted_rows(foods_db.con.sql(joined).fetchall())


def test_columns_are_structured_then_layers_then_error(foods_db):
    text = f"SELECT * FROM TRANSFER({A}, structured => 'foods')"
    result = foods_db.query(text)
    names = ["id", "price", "name", "Is Healthy", "made", "tags", "meta", "cat", "f6", "error"]
    assert result.columns == names
    assert dict(zip(names, result.types, strict=True))["f6"] == "FLOAT[84]"
    relation = foods_db.con.sql(text)
    assert relation.columns == names
    assert list(map(str, relation.types)) == result.types


def test_layers_keep_the_users_names_and_order(foods_db):
    result = foods_db.query(
        "SELECT * FROM TRANSFER(cnn => 'lenet5', layers => ['FC6', 'conv1', 'c5'])"
    )
    assert result.columns == ["id", "FC6", "conv1", "c5", "error"]
    counted = foods_db.query("SELECT * FROM TRANSFER(cnn => 'lenet5', layers => [-1, -3])")
    assert counted.columns == ["id", "fc6", "pool2", "error"]


def test_duplicates_multiply_and_null_keys_never_meet(foods_db):
    text = (
        f"SELECT name, f6[1] FROM TRANSFER({A}, structured => 'foods') WHERE id = 7 OR id IS NULL"
    )
    rows = both(foods_db, text)
    assert len(rows) == 4
    assert len({row.split(",")[1] for row in rows}) == 2


def test_left_join_keeps_rows_without_an_image(foods_db):
    text = f"SELECT name, f6 IS NULL, error FROM TRANSFER({A}, structured => 'foods', join_type => 'left') WHERE price > 9"
    assert both(foods_db, text) == ["['kiwi', True, None]", "['leek', True, None]"]


@pytest.mark.parametrize(
    "hints", ["", ", plan => 'staged'", ", placement => 'before'", ", format => 'long'"]
)
def test_empty_tables_give_no_rows_and_the_right_columns(fresh_db, hints):
    fresh_db.con.execute(
        "CREATE TABLE none AS FROM foods LIMIT 0; CREATE TABLE blank AS FROM images LIMIT 0"
    )
    columns = ["layer", "features"] if "long" in hints else ["f6"]
    kinds = ["VARCHAR", "FLOAT[]"] if "long" in hints else ["FLOAT[84]"]
    for structured, images in (("none", "images"), ("foods", "blank"), ("none", "blank")):
        text = f"SELECT * EXCLUDE (meta, tags) FROM TRANSFER({A}, images => '{images}', structured => '{structured}'{hints})"
        result = fresh_db.query(text)
        assert len(result) == 0
        assert result.columns[-1 - len(columns) : -1] == columns
        assert result.types[-1 - len(columns) : -1] == kinds
        assert both(fresh_db, text) == []
        table = result.arrow()
        assert table.schema.names == result.columns
        assert fresh_db.query(f"SELECT * FROM TRANSFER({A}, images => 'blank')").df().empty


def test_quoted_and_odd_names(fresh_db):
    con = fresh_db.con
    con.execute(
        'CREATE SCHEMA "my ""schema"; '
        'CREATE TABLE "my ""schema"."fo od\'s" AS SELECT id AS "the Key", price AS "a ""price""" FROM foods;'
        'CREATE TABLE "im ages" AS SELECT id AS "İmage Key", image AS "the pixels", 1 AS x FROM images'
    )
    text = (
        'SELECT "the key", "a ""price""", "p f6" FROM TRANSFER(cnn => \'lenet5\', layers => [\'f6\'], '
        'images => \'"im ages"\', structured => $$"my ""schema"."fo od\'s"$$, prefix => \'p \', '
        'key => [\'THE key\', \'İmage Key\']) WHERE "A ""PRICE""" < 3 AND "p f6" IS NOT NULL'
    )
    assert len(both(fresh_db, text)) == 4


def test_columns_called_error_layer_or_features(fresh_db):
    fresh_db.con.execute(
        "CREATE TABLE odd AS SELECT id, 'mine' AS error, 'my layer' AS layer, 1 AS features FROM foods WHERE id < 3"
    )
    wide = f"SELECT error, layer, features, cnn_f6 IS NULL, cnn_error FROM TRANSFER({A}, structured => 'odd', prefix => 'cnn_')"
    assert both(fresh_db, wide) == ["['mine', 'my layer', 1, False, None]"] * 3
    long = f"SELECT error, layer, cnn_layer, len(cnn_features) FROM TRANSFER({A}, structured => 'odd', prefix => 'cnn_', format => 'long')"
    assert both(fresh_db, long) == ["['mine', 'my layer', 'f6', 84]"] * 3


def test_long_format_has_a_row_per_layer(foods_db):
    call = "TRANSFER(cnn => 'lenet5', layers => ['f6', 'conv3'], structured => 'foods'{})"
    long = call.format(", format => 'long'")
    text = f"SELECT price, layer, features FROM {long}"
    wide = f"SELECT price, 'f6', f6::FLOAT[] FROM {call.format('')} UNION ALL SELECT price, 'conv3', conv3::FLOAT[] FROM {call.format('')}"
    assert both(foods_db, text) == both(foods_db, wide)
    assert both(foods_db, f"SELECT price FROM {long} WHERE layer = 'f6' AND price < 3")


def test_relations_of_every_kind(fresh_db, tmp_path):
    con = fresh_db.con
    want = foods.sorted_rows(
        [(i, f) for i, f in features(fresh_db).items() if i is not None and i < 3]
    )
    con.execute(
        f"ATTACH '{tmp_path / 'other.db'}' AS beside; CREATE TABLE beside.pictures AS FROM images"
    )
    con.execute(
        "CREATE VIEW seen AS SELECT * FROM images; CREATE TEMP TABLE fleeting AS FROM images"
    )
    con.execute("CREATE TEMP VIEW fleeting_view AS FROM images")
    for images in (
        "beside.pictures", "beside.main.pictures", "seen", "fleeting", "fleeting_view", "MAIN.Images",
        "SELECT * FROM images", "(SELECT * FROM images)", "FROM images", "images -- all of them",
        "SELECT * FROM images; -- the end", "WITH c AS (FROM images) FROM c", " ( FROM seen ) ;",
        "SELECT id, image, 'a\n-- ;''b' AS note FROM images",
    ):  # fmt: skip
        text = f"SELECT id, f6 FROM TRANSFER({A}, images => $$$${images}$$$$) WHERE id < 3".replace(
            "$$$$", "$$"
        )
        assert both(fresh_db, text) == want, images


def test_cte_as_relation(foods_db):
    text = (
        "WITH few AS (SELECT * FROM images WHERE id < 3), cheap AS (SELECT id, price FROM foods WHERE price < 2) "
        f"SELECT id, price, f6 FROM TRANSFER({A}, images => 'few', structured => 'cheap')"
    )
    assert len(both(foods_db, text)) == 1
    inner = f"SELECT * FROM (WITH cheap AS (SELECT id FROM foods WHERE price < 2) SELECT id, f6 FROM TRANSFER({A}, structured => cheap))"
    assert len(both(foods_db, inner)) == 2


def test_nested_transfer(foods_db):
    inner = f"SELECT id, price, f6[1] AS first FROM TRANSFER({A}, structured => $a$foods$a$)"
    text = f"SELECT id, first, conv3[1] FROM TRANSFER(cnn => 'lenet5', layers => ['conv3'], structured => $$SELECT * FROM ({inner})$$) WHERE price < 3"
    assert len(both(foods_db, text)) == 4


def test_uncommitted_rows_are_seen(fresh_db):
    con = fresh_db.con
    con.begin()
    con.execute("DELETE FROM images WHERE id > 2; UPDATE foods SET price = 99 WHERE id = 0")
    text = f"SELECT id, price, f6 IS NOT NULL FROM TRANSFER({A}, structured => 'foods')"
    want = ["[0, Decimal('99.0'), True]", "[1, Decimal('2.5'), True]", "[2, Decimal('2.5'), True]"]
    assert both(fresh_db, text) == want
    con.rollback()
    assert len(both(fresh_db, text)) > 3


def test_a_transaction_can_be_undone(fresh_db):
    fresh_db.con.begin()
    fresh_db.query(f"CREATE TABLE made AS SELECT id, f6 FROM TRANSFER({A}) WHERE id < 2")
    assert fresh_db.query("SELECT count(*) FROM made").fetchall() == [(2,)]
    fresh_db.con.rollback()
    assert ("made",) not in fresh_db.con.sql("SHOW TABLES").fetchall()


def test_session_settings_hold_below_inference_too(fresh_db):
    con = fresh_db.con
    con.execute(
        "CREATE TABLE times AS SELECT id, TIMESTAMPTZ '2024-01-01 23:30:00+00' AS t FROM foods WHERE id < 3"
    )
    con.execute("SET TimeZone = 'Asia/Tokyo'")
    text = f"SELECT id, f6 FROM TRANSFER({A}, structured => 'times') WHERE t::DATE = '2024-01-02'"
    assert len(both(fresh_db, text)) == 3


def test_another_schema_in_use(fresh_db):
    fresh_db.con.execute(
        "CREATE SCHEMA s; CREATE TABLE s.images AS SELECT * FROM images WHERE id < 2; USE s"
    )
    assert len(both(fresh_db, f"SELECT id, f6 FROM TRANSFER({A})")) == 2


def test_paths_are_relative_to_the_working_folder(fresh_db, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "three.png").write_bytes(foods.picture(3))
    monkeypatch.chdir(tmp_path)
    want = features(fresh_db)[3]
    for path in (
        "folder/three.png",
        str(tmp_path / "folder/three.png"),
        f"file://{tmp_path}/folder/three.png",
    ):
        images = f"$$SELECT 1 AS id, '{path}' AS path$$"
        (row,) = fresh_db.query(
            f"SELECT f6, error FROM TRANSFER({A}, images => {images})"
        ).fetchall()
        assert row == (want, None)


def test_arguments_from_variables_and_parameters(fresh_db):
    fresh_db.con.execute(
        "SET VARIABLE net = 'lenet5'; SET VARIABLE which = ['f6']; SET VARIABLE dear = 3"
    )
    text = "SELECT id, f6 FROM TRANSFER(cnn => getvariable('net'), layers => getvariable('which'), structured => 'foods') WHERE price < getvariable('dear')"
    want = both(
        fresh_db, f"SELECT id, f6 FROM TRANSFER({A}, structured => 'foods') WHERE price < 3"
    )
    assert both(fresh_db, text) == want
    text = (
        "SELECT id, f6 FROM TRANSFER(cnn => $1, layers => [$2], structured => $3) WHERE price < $4"
    )
    assert foods.sorted_rows(fresh_db.query(text, ["lenet5", "f6", "foods", 3]).fetchall()) == want
    named = "SELECT id, f6 FROM TRANSFER(cnn => $net, layers => ['f6'], structured => 'foods') WHERE price < $dear"
    assert foods.sorted_rows(fresh_db.query(named, {"net": "lenet5", "dear": 3}).fetchall()) == want


def test_callers_frames_are_tables(fresh_db):
    table = fresh_db.con.sql("FROM images WHERE id < 3").to_arrow_table()
    my_images = table
    my_foods = pd.DataFrame({"id": [0, 1], "price": [1.0, 2.0]})
    text = f"SELECT id, price, f6 FROM TRANSFER({A}, images => my_images, structured => my_foods) WHERE price < 2"
    rows = fresh_db.query(text).fetchall()
    assert [(row[0], row[1]) for row in rows] == [(0, 1.0)]
    again = vista_sql.query(text, con=fresh_db.con).fetchall()
    assert again == rows
    alone = vista_sql.query(text).fetchall()
    assert alone == rows
    assert foods.leftovers(fresh_db.con) == []
    assert isinstance(my_images, pa.Table)
    assert len(my_foods) == 2


def test_two_sessions_in_threads(fresh_db):
    text = f"SELECT id, f6 FROM TRANSFER({A}, structured => 'foods') WHERE price < 9"
    want = foods.sorted_rows(fresh_db.query(text).fetchall())
    found: list[list[str]] = []

    def work(db):
        for _ in range(3):
            found.append(foods.sorted_rows(db.query(text).fetchall()))
        db.close()

    threads = [threading.Thread(target=work, args=(foods.connect(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [want] * 9


def test_a_file_is_a_database(tmp_path):
    path = tmp_path / "foods.duckdb"
    with vista_sql.connect(path) as db:
        foods.fill(db.con)
        rows = db.query(f"SELECT id, f6 FROM TRANSFER({A})").fetchall()
    with vista_sql.connect(path, access_mode="READ_ONLY") as db:
        assert db.query(f"SELECT id, f6 FROM TRANSFER({A})").fetchall() == rows
        assert (tmp_path / "foods.duckdb.vista").is_dir()
    with duckdb.connect(str(path)) as con:
        assert len(con.sql("SHOW TABLES").fetchall()) == 4


def test_open_results_do_not_disturb_each_other(fresh_db):
    mine = fresh_db.con.sql("FROM images WHERE id < 3").to_arrow_table()
    text = f"SELECT id, f6 FROM TRANSFER({A}, images => mine)"
    first, second = fresh_db.query(text), fresh_db.query(text)
    want = second.fetchall()
    del second
    assert first.fetchall() == want
    fresh_db.query("SELECT 1").fetchall()
    assert foods.leftovers(fresh_db.con) == []
    assert ("mine",) not in fresh_db.con.sql("SELECT view_name FROM duckdb_views()").fetchall()
    assert len(mine) == 3


@pytest.mark.parametrize("way", ["query", "connection"])
def test_a_key_that_is_also_the_image_stays(foods_db, tmp_path, monkeypatch, way):
    monkeypatch.chdir(tmp_path)
    ((image,),) = foods_db.con.sql("SELECT first(image ORDER BY id) FROM images").fetchall()
    (tmp_path / "a.png").write_bytes(image)
    query = (
        "SELECT * EXCLUDE (f6), len(f6) AS n FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], "
        "images => $$FROM glob('*.png')$$, key => 'file', image => 'file')"
    )
    run = foods_db.query if way == "query" else foods_db.con.sql
    assert run(query).fetchall() == [("a.png", None, 84)]
