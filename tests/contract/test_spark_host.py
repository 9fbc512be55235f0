"""What Spark does as a host: TRANSFER and VISTA_* in its statements, settings, errors."""

from __future__ import annotations

import foods
import pytest
import sparks

import vista_sql
from vista_sql import VistaError

CALL = "TRANSFER(cnn => 'lenet5', layers => array('f6'), structured => 'foods')"


@pytest.fixture(scope="module")
def db(spark):
    return vista_sql.spark(spark)


def sorted_rows(db, text):
    return foods.sorted_rows(sparks.rows(db.query(text)))


def test_rows_are_those_of_duckdb_to_the_last_bit(db, foods_db):
    text = "SELECT id, name, f6, error FROM {} WHERE price < 5"
    wanted = foods_db.query(text.format(CALL.replace("array('f6')", "['f6']"))).fetchall()
    assert sorted_rows(db, text.format(CALL)) == foods.sorted_rows(wanted)


def test_errors_are_the_same_sentence(db):
    with pytest.raises(VistaError, match="unknown layer 'f9' in cnn 'lenet5'; did you mean 'f6'"):
        db.query("SELECT f9 FROM TRANSFER(cnn => 'lenet5', layers => array('f9'))")
