"""Prepared parameters: in our calls, beside them, or in both."""

import pytest

import vista_sql
from vista_sql.errors import QueryError

LAYERS = "FROM VISTA_LAYERS(cnn => {}) WHERE layer = {}"


@pytest.fixture(scope="module")
def db():
    with vista_sql.connect() as session:
        yield session


@pytest.mark.parametrize(
    ("text", "params"),
    [
        (LAYERS.format("$1", "'f6'"), ["lenet5"]),
        (LAYERS.format("$1", "$2"), ["lenet5", "f6"]),
        (LAYERS.format("$2", "$1"), ["f6", "lenet5"]),
        (LAYERS.format("$cnn", "$layer"), {"cnn": "lenet5", "layer": "f6"}),
        (LAYERS.format("'lenet5'", "?"), ["f6"]),
    ],
)
def test_parameters_stand_for_their_values(db, text, params):
    found = db.query(f"SELECT layer, dims {text}", params).fetchall()
    assert found == [("f6", 84)]
    assert db.con.execute(f"SELECT layer, dims {text}", params).fetchall() == found


def test_signs_in_strings_are_no_parameters(db):
    text = f"SELECT '$2 ?', $$ $3 $$, layer {LAYERS.format('$1', chr(39) + 'f6' + chr(39))}"
    assert db.query(text, ["lenet5"]).fetchall() == [("$2 ?", " $3 ", "f6")]


def test_a_nameless_parameter_of_ours_is_refused_with_the_remedy(db):
    with pytest.raises(QueryError, match=r"cnn => \?: number the statement's parameters, \$1"):
        db.query(f"SELECT 1 {LAYERS.format('?', '?')}", ["lenet5", "f6"])
