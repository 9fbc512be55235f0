"""TRANSFER of boxes on Spark: the rows of DuckDB, to the last bit."""

from __future__ import annotations

import foods
import pytest
import sparks

import vista_sql

BOXES = """SELECT * FROM VALUES
  (0, 'a', 0, 0, 20, 20), (0, 'b', 2.5, 3, 9, 12), (1, 'c', -4, 8, 10, 40), (1, 'd', 21, 0, 5, 5),
  (2, 'e', NULL, 3, 5, 5), (4, 'f', 0, 0, 5, 5), (8, 'g', 0, 0, 5, 5), (77, 'h', 0, 0, 5, 5)
  AS v(id, box, x, y, width, height)"""


@pytest.fixture(scope="module")
def dbs(spark):
    spark.sql(BOXES).createOrReplaceTempView("boxes")
    with foods.connect() as db:
        text = BOXES.replace("VALUES", "(VALUES", 1).replace("\n  AS v", ") AS v")
        db.con.execute(f"CREATE TABLE boxes AS {text}")
        yield db, vista_sql.spark(spark)


@pytest.mark.parametrize(
    ("region", "structured"), [("crop", ", structured => 'foods'"), ("roi_align", "")]
)
def test_rows_are_those_of_duckdb(dbs, region, structured):
    duckdb, spark = dbs
    statement = (
        "SELECT id, box, c3, error FROM TRANSFER(cnn => 'lenet5', layers => {}, boxes => 'boxes', "
        f"region => '{region}', engine => 'openvino'{structured}) WHERE width > 4"
    )
    wanted = duckdb.query(statement.format("['c3']")).fetchall()
    found = sparks.rows(spark.query(statement.format("array('c3')")))
    assert foods.sorted_rows(found) == foods.sorted_rows(wanted)
    assert len({row[0] for row in wanted}) > 3
