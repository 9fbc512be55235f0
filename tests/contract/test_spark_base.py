"""A layer's raw maps as a table on Spark: written once, where images start; no value changes."""

from __future__ import annotations

import re

import foods
import pyarrow as pa
import pytest
import sparks

import vista_sql
from vista_sql import VistaError, catalog
from vista_sql.hosts.spark import worker
from vista_sql.kernels import PACKAGE, InferSpec

CALL = "TRANSFER(cnn => 'lenet5', layers => array('f6', 'c5'), structured => 'foods'{})"
COLUMNS = "id, name, f6, c5, error"

MOVED = "(SELECT (id + 3) % 10 AS id, image FROM images)"
"""The images under other keys: what a key had before is not what it has."""

COVERED = {
    "all": "images",
    "some": "(SELECT * FROM images WHERE id < 3 OR id = 4)",
    "none": "(SELECT id, image FROM images WHERE id IN (4, 8))",
    "images that have changed": MOVED,
    "images twice": "images",
}
"""What a base is made of; one of key 4 is broken, that of key 8 NULL."""

FULL = pytest.mark.full  # each is some seconds of Spark, which has a core to itself here


@pytest.fixture(scope="module")
def db(spark, tmp_path_factory):
    spark.conf.set("spark.vista.home", str(tmp_path_factory.mktemp("home")))
    yield vista_sql.spark(spark)
    spark.conf.unset("spark.vista.home")
    for name in ("maps", "made", "others"):
        spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.catalog.dropTempView("base")
    assert {table.name for table in spark.catalog.listTables()} == set(sparks.TABLES)


@pytest.fixture(scope="module")
def maps(db):
    """The rows that writing the table `maps` of all images' c5 gave."""
    return materialized(db, "maps", "c5").collect()


@pytest.fixture(scope="module")
def wanted(db):
    """The rows of CALL without a base."""
    return foods.sorted_rows(sparks.rows(db.query(f"SELECT {COLUMNS} FROM {CALL.format('')}")))


def materialized(db, table, layer, images="images", more=""):
    return db.query(
        f"SELECT * FROM VISTA_MATERIALIZE(cnn => 'lenet5', layer => '{layer}', "
        f"images => \"{images}\", table => '{table}'{more})"
    )


def queried(db, more):
    return db.query(f"SELECT {COLUMNS} FROM {CALL.format(more)}")


# ── the table ───────────────────────────────────────────────────────────────────────────────────


def test_a_row_for_each_image_that_can_be_read(maps, db, spark, fresh_db, tmp_path):
    (row,) = maps
    call = f"VISTA_MATERIALIZE('lenet5', 'c5', store => '{tmp_path}')"
    known = fresh_db.query(f"SELECT images, errors FROM {call}").fetchall()
    assert [(row.images, row.errors)] == known == [(9, 1)]
    assert (row.bytes, row.seconds > 0) == (9 * 120 * 4, True)
    table = spark.table("maps")
    assert table.schema.simpleString() == (
        "struct<digest:string,raw_map:binary,n_rows:bigint,made_by:string>"
    )
    text = """SELECT count(*), count(DISTINCT m.digest), sum(length(m.raw_map))
        FROM maps AS m LEFT SEMI JOIN images AS i ON m.digest = sha2(i.image, 256)"""
    assert sparks.rows(spark.sql(text)) == [(9, 9, row.bytes)]


def test_what_fails_leaves_nothing_and_can_be_done_again(db, spark):
    broken = "(SELECT id, if(id = 3, raise_error('struck'), image) AS image FROM images)"
    with pytest.raises(Exception, match="struck"):
        materialized(db, "made", "c5", broken)
    assert not spark.catalog.tableExists("made")
    (row,) = materialized(db, "made", "c5", "(SELECT * FROM images WHERE false)").collect()
    assert (row.images, row.bytes, row.errors) == (0, 0, 0)
    frame = queried(db, ", base => 'made'")
    assert frame.count() == 12, "a base of nothing is none"


# ── no value depends on it ──────────────────────────────────────────────────────────────────────

PLANS = ("staged", "vista")
MORE_PLANS = ("lazy", "eager", "distinct")


@pytest.mark.parametrize(
    ("covered", "more"),
    [
        ("images that have changed", ""),
        ("some", ", placement => 'before'"),
        *(pytest.param(covered, "", marks=FULL) for covered in ("all", "some", "none")),
        pytest.param("images twice", "", marks=FULL),
        pytest.param("images that have changed", ", plan => 'staged'", marks=FULL),
    ],
)
def test_rows_are_those_without_a_base(covered, more, db, spark, wanted):
    spark.sql("DROP TABLE IF EXISTS made")
    materialized(db, "made", "c5", COVERED[covered])
    rows = "SELECT * FROM made UNION ALL SELECT * FROM made" if "twice" in covered else "TABLE made"
    spark.sql(rows).createOrReplaceTempView("base")
    assert foods.sorted_rows(sparks.rows(queried(db, f", base => 'base'{more}"))) == wanted


@pytest.mark.parametrize("plan", [*PLANS, *(pytest.param(p, marks=FULL) for p in MORE_PLANS)])
def test_under_every_plan(plan, db, maps, wanted):
    found = queried(db, f", base => 'maps', plan => '{plan}', np => 3, pers => 'disk'")
    assert foods.sorted_rows(sparks.rows(found)) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id, layer, features, error FROM " + CALL.format("{}, format => 'long'"),
        "SELECT id, f6 FROM " + CALL.format("{}, on_error => 'skip'") + " ORDER BY price LIMIT 4",
        *(
            pytest.param(text, marks=FULL)
            for text in (
                "SELECT id, f6, error FROM " + CALL.format("{}, join_type => 'left'"),
                "SELECT * EXCEPT (meta) FROM " + CALL.format("{}, prefix => 'x_', pool => 'gap'"),
                "SELECT id, `googlenet.conv1`, c5 FROM TRANSFER(cnn => 'lenet5', layers => "
                "array('c5', 'googlenet.conv1'), weights => 'random'{})",
                "SELECT id, error FROM " + CALL,
            )
        ),
    ],
)
def test_in_every_statement(text, db, spark, maps):
    base = "maps"
    if "random" in text:
        base = "others"
        materialized(db, base, "c5", more=", weights => 'random'")
    without, using = (
        foods.sorted_rows(sparks.rows(db.query(text.format(more))))
        for more in ("", f", base => '{base}'")
    )
    assert without == using


def test_a_training_starts_there(db, maps):
    call = (
        "SELECT feature_set, n_train, iterations, f1_score FROM VISTA_COMPARE(cnn => 'lenet5', "
        "layers => array('c5', 'f6'), label => 'Is Healthy', images => 'images', "
        "structured => TABLE(SELECT id, price, `Is Healthy` FROM foods WHERE id NOT IN (4, 8)){})"
    )
    rows = [sparks.rows(db.query(call.format(more))) for more in ("", ", base => 'maps'")]
    assert foods.sorted_rows(rows[0]) == foods.sorted_rows(rows[1])


# ── images do start there ───────────────────────────────────────────────────────────────────────


def test_the_join_and_the_start_are_seen(db, maps, capsys):
    capsys.readouterr()
    queried(db, ", base => 'maps'").explain()
    plan = capsys.readouterr().out
    assert "MapInArrow resume_c5_f6(" in plan
    assert re.search(
        r"Join \[sha2\(__vista_\w+_image#\d+, 256\)\], \[digest#\d+\], LeftOuter", plan
    )
    told = db.explain(f"SELECT f6 FROM {CALL.format(', base => maps')}")
    assert "infer stored c5, else image → f6 as features" in told
    assert "start: c5 (as given: base => …" in told
    unused = db.query(f"SELECT id, error FROM {CALL.format(', base => maps')}")
    capsys.readouterr()
    unused.explain()
    assert "digest" not in capsys.readouterr().out


def test_values_come_from_the_maps(db, spark, maps):
    """Maps of nothing but zeros: what is above them is one and the same for all images.

    The images are new ones, for workers remember the values of the latest.
    """
    new = "SELECT id, concat(image, binary('+')) AS image FROM images WHERE id <> 4"
    zeros = (
        "SELECT sha2(image, 256) AS digest, unhex(repeat('00', 480)) AS raw_map, "
        f"(SELECT max(made_by) FROM maps) AS made_by FROM ({new})"
    )
    spark.sql(zeros).createOrReplaceTempView("base")
    more = f', base => base, images => "{new}"'
    rows = sparks.rows(db.query(f"SELECT f6, c5 FROM {CALL.format(more)}"))
    assert len({repr(row) for row in rows if row[0] is not None}) == 1
    assert {value for _, c5 in rows for value in c5 or ()} == {0.0}


def counted(images, maps, runtime):
    """Return what a stage counts of images of which some bring maps, and its features."""
    spec = InferSpec("lenet5", ("f6",), base="c5", engine="openvino", run="r").to_text()
    inputs = (("image", False), ("key", True))
    call = worker.CallOrder(
        ("r_l1", "r_error"), ("l1", "error"), "vista_infer_1", spec, inputs, "m"
    )
    order = worker.StageOrder((call,), ("key", "r_l1", "r_error"), 4)
    keys = pa.array([str(i) for i in range(len(images))])
    arrays = [keys, pa.array(images, pa.binary()), pa.array(maps, pa.binary())]
    batch = pa.RecordBatch.from_arrays(arrays, ["key", "image", "m"])
    runtime.forget("r")
    rows = pa.Table.from_batches(worker.apply(order, [batch]))
    return runtime.counters("r"), rows["r_l1"].to_pylist()


def test_an_image_whose_map_is_there_is_neither_decoded_nor_inferred_from(monkeypatch):
    images = [foods.picture(100 + i) for i in range(6)]
    every = worker.kernels()
    runtime = catalog.module(PACKAGE, "passes.runtime").Runtime()
    monkeypatch.setattr(worker, "_runtime", lambda process_id: runtime)
    spec = InferSpec("lenet5", ("c5",), engine="openvino").to_text()
    keys = pa.array([str(i) for i in range(6)])
    found = every["vista_maps_1"].function(runtime, pa.repeat(spec, 6), pa.array(images), keys)
    maps = found.field("l1").to_pylist()
    for has, resumed in (([True] * 6, 6), ([True, False] * 3, 3), ([False] * 6, 0)):
        runtime.sharing = catalog.module(PACKAGE, "passes.sharing").Sharing()
        given = [one if there else None for one, there in zip(maps, has, strict=True)]
        counts, features = counted(images, given, runtime)
        assert (counts.images_inferred, counts.images_resumed) == (6, resumed)
        assert counts.decoded == 6 - resumed
        assert all(features)
    runtime.sharing = catalog.module(PACKAGE, "passes.sharing").Sharing()
    with pytest.raises(VistaError, match="a map of layer 'c5' has 480 bytes"):
        counted(images, [b"1234"] * 6, runtime)


# ── errors: one sentence, where, what to do ─────────────────────────────────────────────────────

T = "SELECT f6 FROM TRANSFER(cnn => {}, layers => array({}), images => {}{})"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (T.format("'alexnet'", "'fc6'", "'images'", ", weights => 'random', base => 'maps'"),
         "base => maps holds raw maps of layer 'c5' whose cnn is 'lenet5', and here it is "
         "'alexnet': name that CNN, or make the table anew"),
        (T.format("'lenet5'", "'f6'", "'images'", ", weights => 'random', base => 'maps'"),
         "whose weights is '"),
        (T.format("'lenet5'", "'f6'", "'images'", ", dtype => 'bfloat16', base => 'maps'"),
         "whose dtype is 'float32', and here it is 'bfloat16': give that dtype"),
        (T.format("'lenet5'", "'f6'", "'images'", ", engine => 'tensorflow', base => 'maps'"),
         "whose engine is 'openvino', and here it is 'tensorflow': give that engine"),
        (T.format("'lenet5'", "'f6'", "'images'", ", fit => 'pad', base => 'maps'"),
         "give the resize and fit that it was made with"),
        (T.format("'lenet5'", "'f6', 'conv2'", "'images'", ", base => 'maps'"),
         "raw maps of layer 'c5', from which 'conv2' cannot be computed: leave it out of layers"),
        (T.format("'lenet5'", "'f6'", "'images'", ", base => 'foods'"),
         "base => foods is no table of VISTA_MATERIALIZE: it has no column 'digest'"),
        (T.format("'lenet5'", "'f6'", "'images'", ", base => 'map'"),
         "unknown table 'map'"),
        (T.format("'lenet5'", "'f6'", "TABLE(SELECT id, 'a.png' AS path FROM images)",
                  ", base => 'maps'"),
         "the image column 'path' is VARCHAR: give the bytes as BINARY, as binaryFile reads them"),
        (T.format("'lenet5'", "'f6'", "'images'", ", base => 'maps', boxes => 'foods'"),
         "leave out base, or boxes"),
        ("SELECT * FROM VISTA_MATERIALIZE('lenet5', array('c5', 'f6'), table => 'others')",
         "a table holds the maps of one layer"),
        ("SELECT * FROM VISTA_MATERIALIZE('lenet5', 'c5', table => 'maps')",
         "there is a table 'maps': DROP TABLE it, or name another one"),
        ("SELECT * FROM VISTA_MATERIALIZE('lenet5', 'c5', table => 'x', store => 'y')",
         "table and store exclude each other"),
        ("SELECT * FROM VISTA_MATERIALIZE('lenet5', 'c5', table => '(SELECT 1)')",
         "must be a table's name"),
    ],
)  # fmt: skip
def test_errors_are_one_sentence(text, sentence, db, maps):
    with pytest.raises(VistaError, match=re.escape(sentence)) as found:
        db.query(text)
    assert "\n" not in found.value.message


def test_duckdb_says_where_its_maps_are(foods_db):
    for text in (
        "FROM TRANSFER('lenet5', 'f6', base => 'foods')",
        "FROM VISTA_MATERIALIZE('lenet5', 'c5', \"table\" => 'maps')",
    ):
        with pytest.raises(VistaError, match=r"feature store.*leave (base|table) out"):
            foods_db.query(text)
