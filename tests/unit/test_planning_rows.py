"""The narrow rows of a call: what is joined, filtered, sorted and cut before inference."""

from __future__ import annotations

import duckdb
import pytest
from msgspec.structs import replace

from vista_sql.planning.rows import (
    Identifiers,
    Marks,
    image_rows,
    indent,
    joined_rows,
    marked,
    reads_images,
    used_columns,
)
from vista_sql.planning.workload import Relation, bind, load_cnn
from vista_sql.sql.calls import Call
from vista_sql.sql.needs import Needs

NAMES = Identifiers("__v_")
PHOTOS = Relation("photos", {"id": "INTEGER", "path": "VARCHAR"})
FOODS = Relation("foods", {"id": "INTEGER", "price": "DOUBLE"})


def workload(structured=FOODS, images=PHOTOS, **arguments):
    call = Call("transfer", {"cnn": "lenet5", "layers": ["f6"], **arguments}, {})
    return bind(call, load_cnn(call), images, structured, seed=0, device="auto")


def needing(work, columns=("id", "price", "f6"), **clauses):
    return replace(work, needs=Needs(frozenset(columns), **clauses))


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE photos AS SELECT i AS id, 'p' || (i % 2) AS path FROM range(4) AS r(i);"
            "CREATE TABLE foods AS SELECT i AS id, i / 2 AS price FROM range(2, 8) AS r(i)"
        )
        yield con


def test_the_join_leaves_what_both_sides_have(con):
    rows = con.sql(joined_rows(workload(), NAMES)).fetchall()
    assert sorted(rows) == [(2, 1.0, 2, "p0"), (3, 1.5, 3, "p1")]
    left = con.sql(joined_rows(workload(join_type="left"), NAMES)).fetchall()
    assert len(left) == 6
    assert sum(row[3] is None for row in left) == 4


def test_conditions_ranks_and_limits_run_before_inference(con):
    work = needing(workload(), predicates=('"price" > 1',))
    assert con.sql(joined_rows(work, NAMES)).fetchall() == [(3, 1.5, 3, "p1")]
    work = needing(workload(), order=('"price" DESC',), limit=1)
    assert con.sql(joined_rows(work, NAMES)).fetchall() == [(3, 1.5, 3, "p1")]
    work = needing(workload(), qualify='row_number() OVER (ORDER BY "price" DESC) <= 1')
    assert con.sql(joined_rows(work, NAMES)).fetchall() == [(3, 1.5, 3, "p1")]
    work = needing(workload(), sample="TABLESAMPLE BERNOULLI(0 PERCENT)")
    assert con.sql(joined_rows(work, NAMES)).fetchall() == []


def test_only_columns_that_are_used_are_read():
    assert used_columns(needing(workload(), ("price",)), NAMES) == ['"price"']
    assert used_columns(workload(), NAMES) == ['"id"', '"price"']
    unseen = workload(structured=Relation("foods"), images=Relation("photos"))
    assert used_columns(unseen, NAMES) is None
    assert '"structured =>".*' in joined_rows(unseen, NAMES)


def test_no_image_is_read_where_no_layer_and_no_error_is_used(con):
    work = needing(workload(), ("price",))
    assert not reads_images(work)
    assert con.sql(joined_rows(work, NAMES)).columns == ["price"]
    assert con.sql(joined_rows(needing(workload(), ()), NAMES)).columns == ["__v_key"]
    assert reads_images(needing(workload(), ("error",)))
    assert reads_images(needing(workload(on_error="skip"), ("price",)))


def test_sorting_brings_equal_images_together(con):
    alone = workload(structured=None)
    paths = [row[2] for row in con.sql(joined_rows(alone, NAMES, is_sorted=True)).fetchall()]
    assert paths in (["p0", "p0", "p1", "p1"], ["p1", "p1", "p0", "p0"])
    before = con.sql(image_rows(workload(), NAMES, is_sorted=True)).fetchall()
    assert [path for _, path in before] == paths


def test_marks_keep_the_users_texts_from_being_indented():
    text = "(SELECT 'a\n b' AS x)"
    marks = Marks()
    made = marked(workload(images=Relation(text, {"id": "INTEGER", "p": "BLOB"})), marks.of)
    assert marks.resolved(indent(f"FROM {made.images.text}")) == f"  FROM {text}"
