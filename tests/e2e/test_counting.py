"""What is not needed is not computed: counted by the kernels themselves."""

# ruff: noqa: E501 - a statement is a line

from __future__ import annotations

import cv2
import duckdb
import numpy as np
import pyarrow as pa
import pytest

import vista_sql
from vista_sql.hosts.duckdb.process import process

A = "cnn => 'lenet5', layers => ['f6', 'conv3'], structured => 'foods'"
N = 60


@pytest.fixture(scope="module")
def con():
    """60 foods, each with a picture of its own."""
    rng = np.random.default_rng(5)
    blobs = [
        cv2.imencode(".png", rng.integers(0, 255, (16, 16), np.uint8))[1].tobytes()
        for _ in range(N)
    ]
    rows = pa.table({"id": range(N), "image": blobs})
    with duckdb.connect() as con:
        con.register("rows_of_images", rows)
        con.execute(
            "CREATE TABLE images AS FROM rows_of_images;"
            f"CREATE TABLE foods AS SELECT i AS id, i / 2.0 AS price, i % 5 AS cat FROM range({N}) AS r(i)"
        )
        vista_sql.attach(con)
        yield con


class Count:
    """What the kernels count while a statement runs."""

    def __init__(self, monkeypatch):
        self.runtime = process().runtime
        self.totals: dict[str, float] = {}
        count = self.runtime.count

        def counting(run, **amounts):
            for name, amount in amounts.items():
                self.totals[name] = self.totals.get(name, 0) + amount
            count(run, **amounts)

        monkeypatch.setattr(self.runtime, "count", counting)
        # images inferred by an earlier test are exchanged with nobody
        self.runtime.sharing.__init__()
        self.runtime._outcomes.clear()

    def __getattr__(self, name):
        return int(self.totals.get(name, 0))


@pytest.fixture
def count(monkeypatch):
    return Count(monkeypatch)


@pytest.fixture(params=["query", "attach"])
def run(request, con):
    session = vista_sql.Session(con, own=False)
    if request.param == "query":
        return lambda text: session.query(text).fetchall()
    return lambda text: con.sql(text).fetchall()


def test_a_filter_infers_what_it_keeps(run, count):
    assert len(run(f"SELECT f6 FROM TRANSFER({A}) WHERE price < 3")) == 6
    assert count.images_inferred == 6


def test_structured_columns_alone_read_no_image(run, count):
    assert len(run(f"SELECT id, price FROM TRANSFER({A})")) == N
    assert run(f"SELECT count(*) FROM TRANSFER({A})") == [(N,)]
    assert (count.images_inferred, count.decoded) == (0, 0)


def test_error_decodes_only(run, count):
    assert len(run(f"SELECT id, error FROM TRANSFER({A})")) == N
    assert count.images_inferred == 0


def test_skipping_without_a_layer_decodes_only(run, count):
    assert len(run(f"SELECT id FROM TRANSFER({A}, on_error => 'skip')")) == N
    assert count.images_inferred == 0


def test_unused_layers_are_not_computed(run, count):
    run(f"SELECT conv3 FROM TRANSFER({A}, plan => 'lazy') WHERE id < 4")
    assert count.layer_evaluations == 4


def test_one_pass_serves_all_layers(run, count):
    run(f"SELECT f6, conv3 FROM TRANSFER({A}) WHERE id < 4")
    assert (count.images_inferred, count.layer_evaluations) == (4, 8)


def test_rows_of_one_image_infer_it_once(con, run, count):
    con.execute(
        "CREATE OR REPLACE TEMP TABLE many AS SELECT 3 AS id, i AS n FROM range(500) AS r(i)"
    )
    found = run(
        "SELECT n, f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => 'many')"
    )
    assert len(found) == 500
    assert count.images_inferred == 1


def test_equal_bytes_infer_once(con, run, count):
    con.execute(
        "CREATE OR REPLACE TEMP TABLE same AS "
        "SELECT i AS id, (SELECT image FROM images WHERE id = 3) AS image FROM range(300) AS r(i)"
    )
    text = "SELECT id, f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], images => 'same', image => 'image')"
    assert len(run(text)) == 300
    assert count.images_inferred == 1


def test_equal_paths_infer_once(con, run, count, tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(con.sql("SELECT image FROM images WHERE id = 4").fetchall()[0][0])
    con.execute(
        f"CREATE OR REPLACE TABLE paths AS SELECT i AS id, '{path}' AS path FROM range(300) AS r(i)"
    )
    text = "SELECT id, f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], images => 'paths')"
    assert len(run(text)) == 300
    assert count.images_inferred == 1


def test_a_feature_used_twice_is_inferred_once(run, count):
    run(f"SELECT f6[1], f6[2] + f6[3] FROM TRANSFER({A}) WHERE f6[4] > -9 AND id < 8")
    assert count.images_inferred == 8


@pytest.mark.parametrize(
    ("text", "n_inferred"),
    [
        ("SELECT f6 FROM {} LIMIT 10", 10),
        ("SELECT f6 FROM {} LIMIT 10 OFFSET 5", 15),
        ("SELECT f6 FROM {} ORDER BY price LIMIT 10", 10),
        ("SELECT f6 FROM {} WHERE cat = 1 ORDER BY price DESC, id LIMIT 3", 3),
        ("SELECT f6 FROM (SELECT * FROM {} WHERE cat = 1) ORDER BY price LIMIT 3", 3),
        ("WITH t AS (SELECT * FROM {}) SELECT f6 FROM t ORDER BY price LIMIT 3", 3),
        ("SELECT s.f6 FROM (SELECT f6, price AS p FROM {}) AS s WHERE s.p < 3", 6),
        ("SELECT t.f6 FROM {} AS t JOIN (SELECT 1 AS cat) AS c USING (cat) WHERE t.price < 3", 1),
        ("SELECT f6 FROM {} QUALIFY row_number() OVER (PARTITION BY cat ORDER BY price) = 1", 5),
        ("SELECT f6 FROM (SELECT *, rank() OVER (ORDER BY price) AS r FROM {}) WHERE r <= 7", 7),
        ("SELECT f6 FROM {} ORDER BY f6[1] LIMIT 3", N),
        ("SELECT f6 FROM {} WHERE f6[1] > -9 LIMIT 3", N),
        ("SELECT max(f6[1]) FROM {} LIMIT 3", N),
        ("SELECT DISTINCT f6[1] FROM {} LIMIT 3", N),
    ],
)
def test_planned_whole_infers_what_the_statement_keeps(con, count, text, n_inferred):
    result = vista_sql.Session(con, own=False).query(text.format(f"TRANSFER({A})"))
    result.fetchall()
    assert count.images_inferred == n_inferred


def test_a_sample_is_inferred_alone(con, count):
    text = f"SELECT f6 FROM TRANSFER({A}) USING SAMPLE 20% (bernoulli, 7)"
    found = vista_sql.Session(con, own=False).query(text).fetchall()
    assert count.images_inferred == len(found) < N / 2


def test_a_bare_connection_infers_a_chunk_for_a_limit(con, count):
    """The difference that docs/sql_hosts.md tells of."""
    assert len(con.sql(f"SELECT f6 FROM TRANSFER({A}) LIMIT 10").fetchall()) == 10
    assert 10 <= count.images_inferred <= N


@pytest.mark.parametrize(
    ("clause", "n_images"),
    [
        ("JOIN few ON t.id = few.id WHERE few.id = 7", 1),
        ("JOIN few USING (id)", range(3, N + 1)),  # keys from 1 to 7, where DuckDB filters them
        ("WHERE id IN (SELECT id FROM few)", range(3, N + 1)),
        ("ANTI JOIN few USING (id)", N),
    ],
)
def test_what_a_bare_connection_infers_for_joins(con, count, clause, n_images):
    """The differences that docs/sql_hosts.md tells of."""
    con.execute("CREATE OR REPLACE TABLE few AS SELECT unnest([1, 2, 7, 7, NULL])::BIGINT AS id")
    con.sql(f"SELECT t.id, f6 FROM TRANSFER({A}) AS t {clause}").fetchall()
    assert count.images_inferred in ([n_images] if isinstance(n_images, int) else n_images)


def test_before_the_join_every_image_is_inferred_once(con, count):
    text = f"SELECT f6 FROM TRANSFER({A}, placement => 'before') WHERE price < 3"
    assert len(vista_sql.Session(con, own=False).query(text)) == 6
    assert count.images_inferred == N


@pytest.mark.parametrize("batch_rows", [1, 2, 7, 60])
def test_batches_have_the_rows_of_the_plan(con, count, batch_rows):
    text = f"SELECT f6 FROM TRANSFER({A}, batch_rows => {batch_rows})"
    vista_sql.Session(con, own=False).query(text).fetchall()
    assert count.images_inferred == N
    assert count.batches == -(-N // batch_rows)


def test_a_closed_reader_infers_no_more(con, count):
    reader = (
        vista_sql.Session(con, own=False)
        .query(f"SELECT f6 FROM TRANSFER({A}, batch_rows => 2)")
        .reader(2)
    )
    next(iter(reader))
    del reader
    assert count.images_inferred <= N


@pytest.mark.parametrize(
    ("join", "n_rows", "n_images"),
    [
        ("JOIN few ON t.id = few.id", 4, 3),
        ("JOIN few USING (id)", 4, 3),
        ("JOIN few ON t.id = few.id AND few.id < 3", 2, 2),
        ("SEMI JOIN few ON t.id = few.id", 3, 3),
        ("SEMI JOIN few ON t.id = few.id ORDER BY t.price DESC LIMIT 1", 1, 1),
        ("ANTI JOIN few ON t.id = few.id", N - 3, N - 3),
        ("LEFT JOIN few ON t.id = few.id", N + 1, N),
        ("LEFT JOIN few ON t.id = few.id ORDER BY t.price LIMIT 3", 3, 3),
        ("RIGHT JOIN few ON t.id = few.id", 5, 3),
        ("FULL JOIN few ON t.id = few.id", N + 2, N),
        ("FULL JOIN few ON t.id = few.id WHERE t.price < 2", 4, 4),
        ("NATURAL JOIN few", 4, 3),
        (", few WHERE t.id = few.id AND few.id > 1", 3, 2),
        ("JOIN (SELECT id, count(*) AS n FROM few GROUP BY id) AS s USING (id) WHERE n = 2", 1, 1),
        ("JOIN few ON t.id = few.id JOIN foods AS f ON f.id = few.id + 5 AND f.price < 4", 2, 2),
        ("JOIN (VALUES (1), (99)) AS v(id) USING (id)", 1, 1),
        ("WHERE id IN (SELECT id FROM few)", 3, 3),
        ("WHERE id NOT IN (SELECT id FROM few)", 0, 0),
        ("WHERE NOT EXISTS (SELECT 1 FROM few WHERE few.id = t.id)", N - 3, N - 3),
        ("WHERE price > (SELECT max(price) - 1 FROM foods WHERE cat = t.cat)", 5, 5),
        ("JOIN (SELECT * FROM few ORDER BY id LIMIT 1) AS s USING (id)", 1, N),
        ("JOIN foods AS f ON t.id = f.id", N, N),
    ],
)
def test_joins_and_sub_queries_infer_what_they_keep(con, count, join, n_rows, n_images):
    con.execute("CREATE OR REPLACE TABLE few AS SELECT unnest([1, 2, 7, 7, NULL]) AS id")
    con.execute("ALTER TABLE few ALTER id TYPE BIGINT")
    session = vista_sql.Session(con, own=False)
    rows = session.query(f"SELECT t.id, f6 FROM TRANSFER({A}) AS t {join}").fetchall()
    assert (len(rows), count.images_inferred) == (n_rows, n_images)
