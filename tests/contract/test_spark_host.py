"""What Spark does as a host: TRANSFER and VISTA_* in its statements, settings, errors."""

from __future__ import annotations

import gc
import re
from pathlib import Path

import foods
import pytest
import sparks

import vista_sql
from vista_sql import VistaError
from vista_sql.hosts.spark.session import HOST

CALL = "TRANSFER(cnn => 'lenet5', layers => array('f6', 'conv3'), structured => 'foods'{})"
COLUMNS = "id, name, f6, conv3, error"


@pytest.fixture(scope="module")
def db(spark, tmp_path_factory):
    spark.conf.set("spark.vista.home", str(tmp_path_factory.mktemp("home")))
    yield vista_sql.spark(spark)
    spark.conf.unset("spark.vista.home")
    assert {table.name for table in spark.catalog.listTables()} == set(sparks.TABLES)


@pytest.fixture(scope="module")
def wanted(foods_db):
    """The rows of CALL on DuckDB."""
    call = CALL.format("").replace("array(", "[").replace("'conv3')", "'conv3']")
    return foods.sorted_rows(foods_db.query(f"SELECT {COLUMNS} FROM {call}").fetchall())


def queried(db, hints="", columns=COLUMNS, rest=""):
    return db.query(f"SELECT {columns} FROM {CALL.format(hints)} {rest}")


def plan_of(frame, capsys):
    capsys.readouterr()
    frame.explain()
    return capsys.readouterr().out


def test_what_the_host_can_do_is_stated(db):
    assert isinstance(db.capabilities, type(HOST.capabilities))
    assert not db.capabilities.calls_in_sql
    assert db.capabilities.call_rows(7) == 7


def test_nothing_is_used_that_spark_connect_has_not():
    for file in Path(vista_sql.__file__).parent.joinpath("hosts", "spark").glob("*.py"):
        assert not re.search(r"_jvm|_jdf|_jsc|\brdd\b|sparkContext", file.read_text()), file.name


# ── the paper's decisions: each by a hint, seen in Spark's plan, the same rows to the last bit ──

DECISIONS = {
    "nothing asked for": ("", ["MapInArrow infer_c5_f6(", "BroadcastHashJoin"]),
    "lazy, one partition": (
        ", plan => 'lazy', np => 1",
        [
            "MapInArrow infer_c5(",
            "MapInArrow infer_f6(",
            "Exchange SinglePartition, REPARTITION_BY_NUM",
        ],
    ),
    "eager, shuffled join": (
        ", plan => 'eager', join => 'shuffle'",
        ["MapInArrow maps_c5_f6(", "MapInArrow pool_f6(", "ShuffledHashJoin"],
    ),
    "staged, three partitions, serialized": (
        ", plan => 'staged', np => 3, pers => 'serialized'",
        [
            "MapInArrow maps_c5(",
            "MapInArrow resume_f6(",
            "RoundRobinPartitioning(3)",
            "StorageLevel(disk, memory, 1 replicas)",
        ],
    ),
    "distinct, deserialized": (
        ", plan => 'distinct', np => 2, pers => 'deserialized'",
        [
            r"hashpartitioning\(xxhash64\(__vista_\w+_image#\d+, 42\), 2\)",
            "StorageLevel(disk, memory, deserialized, 1 replicas)",
        ],
    ),
    "before the join, on disk": (
        ", placement => 'before', join => 'broadcast', pers => 'disk'",
        ["BroadcastHashJoin", "StorageLevel(disk, 1 replicas)"],
    ),
    "the paper's policy": (", plan => 'vista'", ["MapInArrow resume_f6(", "StorageLevel("]),
}


@pytest.mark.parametrize("decision", DECISIONS)
def test_decisions_are_carried_out_and_change_no_row(decision, db, wanted, capsys):
    hints, shown = DECISIONS[decision]
    frame = queried(db, hints)
    plan = plan_of(frame, capsys)
    for fragment in shown:
        found = (
            fragment in plan or re.search(fragment, plan) if "\\" in fragment else fragment in plan
        )
        assert found, f"{fragment}\n{plan}"
    assert foods.sorted_rows(sparks.rows(frame)) == wanted
    assert frame.schema.simpleString() == (
        "struct<id:int,name:string,f6:array<float>,conv3:array<float>,error:string>"
    )


def test_inference_stands_below_the_join_where_that_is_asked_for(db, capsys):
    plan = plan_of(queried(db, ", placement => 'before'"), capsys)
    assert plan.index("Join") < plan.index("MapInArrow")
    plan = plan_of(queried(db, ", placement => 'after'"), capsys)
    assert plan.index("MapInArrow") < plan.index("Join")


def test_rows_that_were_kept_go_with_the_frame(db, spark):
    frame = queried(db, ", pers => 'disk'")
    kept = spark._jsparkSession.sharedState().cacheManager()
    assert not kept.isEmpty()
    few = frame.filter("id = 1").select("id", "error")
    del frame
    gc.collect()
    assert kept.isEmpty()
    assert sparks.rows(few) == [(1, None)]


# ── what is cut below inference ─────────────────────────────────────────────────────────────────


def sent(frame):
    """Return how many rows the Python workers returned when a frame was run."""
    plan = frame._jdf.queryExecution().executedPlan()
    plan.executeCollect()
    total, left = 0, [plan]
    while left:
        node = left.pop()
        name = node.nodeName()
        if name.startswith("MapInArrow"):
            total += node.metrics().get("pythonNumRowsReceived").get().value()
        if name == "AdaptiveSparkPlan":
            left.append(node.executedPlan())
        elif "QueryStage" in name:
            left.append(node.plan())
        children = node.children()
        left += [children.apply(place) for place in range(children.size())]
    return total


@pytest.mark.parametrize(
    ("columns", "rest", "rows"),
    [
        ("id, f6", "WHERE price < 3", 4),
        ("id, f6", "ORDER BY price DESC LIMIT 2", 2),
        ("id, f6", "LIMIT 3", 3),
        ("id, name", "", 0),
    ],
)
def test_what_a_statement_does_not_need_is_not_inferred(columns, rest, rows, db):
    frame = queried(db, columns=columns, rest=rest)
    assert sent(frame) == rows


def test_a_layer_that_is_not_used_is_not_computed(db, capsys):
    plan = plan_of(queried(db, columns="id, f6"), capsys)
    assert "infer_f6(" in plan
    assert "c5" not in plan


def test_the_error_alone_is_decoded_not_inferred(db, capsys):
    frame = queried(db, columns="id, error", rest="WHERE error IS NOT NULL")
    assert "MapInArrow error(" in plan_of(frame, capsys)
    assert sparks.rows(frame) == [(4, "not an image (6 bytes)")]


# ── statements ──────────────────────────────────────────────────────────────────────────────────


def test_spark_sql_stays_spark_sql(db):
    text = """
        WITH cheap AS (SELECT * FROM foods WHERE price < 5)
        SELECT id, size(f6) AS n, exists(f6, v -> v > 0) AS some, '{braces}' AS text
        FROM TRANSFER('lenet5', layers => array('f6'), structured => cheap) AS t
        LEFT ANTI JOIN other AS o ON o.id = t.id WHERE id > 0 ORDER BY id"""
    assert sparks.rows(db.query(text)) == [
        (2, 84, True, "{braces}"),
        (4, None, None, "{braces}"),
        (5, 84, True, "{braces}"),
    ]


def test_relations_nest_as_text_or_as_table(db):
    inner = "SELECT id, price, f6 AS low FROM TRANSFER('lenet5', 'f6') JOIN foods USING (id)"
    text = (
        "SELECT t.id, size(low) AS a, size(conv3) AS b "
        "FROM TRANSFER('lenet5', 'conv3', structured => {}) t"
    )
    rows = sparks.rows(db.query(text.format(f"TABLE({inner} WHERE price = 9)")))
    assert (
        rows == sparks.rows(db.query(text.format(f'"{inner} WHERE price = 9"'))) == [(9, 84, 120)]
    )


def test_paths_that_executors_open_are_images(db, spark, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(foods.picture(ord(name)))
    files = spark.read.format("binaryFile").load(str(tmp_path))
    files.createOrReplaceTempView("files")
    text = "SELECT f6 FROM TRANSFER('lenet5', 'f6', images => '{}', key => 'path'{}) ORDER BY path"
    try:
        by_content = sparks.rows(db.query(text.format("files", "")))
        named = "SELECT path FROM files"
        by_path = sparks.rows(db.query(text.format(named, ", image => 'path'")))
        assert by_content == by_path
        assert len(by_content) == 2
        assert all(row[0] for row in by_content)
    finally:
        spark.catalog.dropTempView("files")


def test_statements_that_write_run_at_once(db, spark):
    try:
        db.query(
            f"CREATE TABLE made USING parquet AS SELECT id, f6 FROM {CALL.format('')} WHERE id < 2"
        )
        assert sparks.rows(spark.sql("SELECT id, size(f6) FROM made ORDER BY id")) == [
            (0, 84),
            (1, 84),
        ]
    finally:
        spark.sql("DROP TABLE IF EXISTS made")


def test_neighbours_of_vectors_that_executors_made(db, foods_db):
    rows = "SELECT id, f6 FROM TRANSFER('lenet5', 'f6') WHERE id NOT IN (4, 8)"
    text = "SELECT id, neighbor_id, rank, distance FROM VISTA_NEIGHBORS({}, layer => 'f6', k => 2)"
    found = db.query(text.format(f"data => TABLE({rows})"))
    wanted = foods_db.query(text.format(f"data => $${rows}$$")).fetchall()
    assert foods.sorted_rows(sparks.rows(found)) == foods.sorted_rows(wanted)


SOURCE = (
    "images => 'images', structured => {}, label => 'cheap', cnn => 'lenet5', "
    "layers => array('f6', 'conv3')"
)
SIMILAR = {
    "duplicates of data": "SELECT id, group_id, kind FROM VISTA_DUPLICATES(data => TABLE("
    "SELECT id, f6 FROM TRANSFER('lenet5', 'f6', images => 'images')))",
    "duplicates of images": "SELECT id, group_id FROM VISTA_DUPLICATES(images => 'images', "
    "cnn => 'lenet5', layers => array('f6'))",
    "outliers": "SELECT id, score, rank, nearest_id FROM VISTA_OUTLIERS(images => 'images', "
    "cnn => 'lenet5', layers => array('f6'), k => 2) WHERE id <> 0",
    "sources": "SELECT cnn, layer, leep, logme FROM VISTA_RANK_SOURCES("
    + SOURCE.format("'SELECT id, price < 6 AS cheap FROM foods'")
    + ")",
    "boxes": "SELECT id FROM VISTA_NMS(data => 'SELECT id, 0 AS x, 0 AS y, 4 AS width, "
    "4 AS height, price AS score FROM foods')",
}


@pytest.mark.filterwarnings("ignore:.*are left out")
@pytest.mark.parametrize("function", SIMILAR)
def test_functions_that_are_fed_vectors_say_what_duckdb_says(function, db, foods_db):
    text = SIMILAR[function]
    duck = text.replace("TABLE(", "$$").replace("'images')))", "'images')$$)")
    duck = re.sub(r"array\(([^)]*)\)", r"[\1]", duck)
    wanted = foods.sorted_rows(foods_db.query(duck).fetchall())
    assert foods.sorted_rows(sparks.rows(db.query(text))) == wanted
    assert wanted


def test_settings_count_in_their_order(db):
    db.query("SET VARIABLE vista_plan = 'staged'")
    try:
        assert "plan: staged (as given: SET VARIABLE vista_plan" in db.explain(
            f"SELECT f6 FROM {CALL.format('')}"
        )
        hinted = db.explain("SELECT f6 FROM " + CALL.format(", plan => 'lazy'"))
        assert "plan: lazy (as given: plan => …" in hinted
    finally:
        db.query("SET VARIABLE vista_plan = NULL")


def test_explain_gives_the_decisions_for_the_cluster(db):
    told = db.explain(f"SELECT f6 FROM {CALL.format('')}")
    for line in (
        "cpu: 2 (as the session was started)",
        "np: 2 (a multiple of 2 tasks at once",
        "join: broadcast (T_str has about",
        "pers: none (the rows are read once)",
        "memory regions: 1 executor of 2 cores",
    ):
        assert line in told


# ── errors: one sentence, where, what to do ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "SELECT f9 FROM TRANSFER(cnn => 'lenet5', layers => array('f9'))",
            "unknown layer 'f9' in cnn 'lenet5'; did you mean 'f6'",
        ),
        ("SELECT * FROM TRANSFER('lenet5', images => 'imagse')", "unknown table 'imagse'; did you"),
        (f"SELECT pricee, f6 FROM {CALL.format('')}", "with name `pricee` cannot be resolved"),
        (
            f"SELECT f6 FROM {CALL.format(', cpu => 1')}",
            "start Spark with --conf spark.task.cpus=2",
        ),
        (f"SELECT f6 FROM {CALL.format(', cpu => 3')}", "an executor has 2 cores: give cpu => 2"),
        (
            "SELECT f6 FROM " + CALL.format(", join_type => 'left', join => 'broadcast'"),
            "would be kept on each: leave join out",
        ),
        (f"CREATE VIEW v AS SELECT f6 FROM {CALL.format('')}", "use CREATE TABLE … AS, or"),
        (
            "SELECT * FROM VISTA_MATERIALIZE('lenet5', 'c5', store => 'maps')",
            "VISTA_MATERIALIZE needs table => 'name' on Spark",
        ),
        ("", "there is no statement"),
    ],
)
def test_errors_are_one_sentence(text, sentence, db):
    with pytest.raises(VistaError, match=re.escape(sentence)):
        db.query(text)


def test_on_request_an_unreadable_image_ends_the_statement(db):
    frame = queried(db, ", on_error => 'raise'")
    with pytest.raises(Exception, match="image of key '4' cannot be read"):
        frame.toArrow()
