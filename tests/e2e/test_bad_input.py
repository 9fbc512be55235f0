"""Bad input is one line that names the place and the remedy; the session goes on, nothing stays."""

# ruff: noqa: E501 - a case is a line

from __future__ import annotations

import re

import duckdb
import foods
import pytest

import vista_sql
from vista_sql.errors import (
    ArgumentError,
    ModelError,
    PlanError,
    QueryError,
    UnknownNameError,
    UnreadableImageError,
    VistaError,
    WeightsError,
)

A = "cnn => 'lenet5', layers => ['f6']"

CASES = (  # (inside the parentheses, error, what it says, what is underlined)
    ("cnn => 'lenet6'", UnknownNameError, "did you mean 'lenet5'", "'lenet6'"),
    ("layers => ['f6']", ArgumentError, "TRANSFER needs cnn =>", "TRANSFER"),
    ("", ArgumentError, "TRANSFER needs cnn =>", "TRANSFER"),
    ("cnn => 5", ArgumentError, "cnn must be a name, not 5", "5"),
    ("cnn = 'lenet5'", ArgumentError, "is a comparison in DuckDB; write cnn =>", "'lenet5'"),
    ("cnn => 'a', cnn => 'b'", ArgumentError, "given twice", "'b'"),
    ("cnn => 'lenet5', layers => ['f66']", UnknownNameError, "did you mean 'f6'", "'f66'"),
    ("cnn => 'lenet5', layers => ['f6', 'f6']", ArgumentError, "the same layer", "'f6', 'f6'"),
    ("cnn => 'lenet5', layers => ['f6', 'fc6']", ArgumentError, "the same layer", "'f6', 'fc6'"),
    ("cnn => 'lenet5', layers => ['f6', -1]", ArgumentError, "all names or all integers", "'f6', -1"),
    ("cnn => 'lenet5', layers => [-99]", ArgumentError, "from the top: -1 (fc6) to -4 (conv2)", "99"),
    ("cnn => 'lenet5', layers => [1]", ArgumentError, "from the top: -1 (fc6) to -4 (conv2)", "1"),
    ("cnn => 'lenet5', layers => [1.5]", ArgumentError, "names or negative integers, not [1.5]", "1.5"),
    ("cnn => 'lenet5', layers => []", ArgumentError, "names or negative integers", "layers"),
    ("cnn => 'lenet5', layers => true", ArgumentError, "names or negative integers", "layers"),
    ("cnn => 'lenet5', layers => (SELECT ['f6'])", ArgumentError, "cannot be a sub-query", "'f6'"),
    ("cnn => 'lenet5', layer => ['f6']", UnknownNameError, "did you mean 'layers'", "layer"),
    (f"{A}, images => 'imagse'", UnknownNameError, "unknown table 'imagse'; did you mean 'images'", "'imagse'"),
    (f"{A}, structured => 'fods'", UnknownNameError, "did you mean 'foods'", "'fods'"),
    (f"{A}, images => ''", ArgumentError, "images must be a relation as text", "''"),
    (f"{A}, key => ''", ArgumentError, "key must be 'name' or", "''"),
    (f"{A}, image => ' '", UnknownNameError, "unknown column ' '", "' '"),
    (f"{A}, image => ''", ArgumentError, "image must be a column's name", "''"),
    ("cnn => 'lenet5', layers => ['f6', '']", ArgumentError, "names or negative integers, not ''", "['f6', '']"),
    (f"{A}, images => 'SELECT FROM WHERE'", ArgumentError, "neither a table's name nor a query", "'SELECT FROM WHERE'"),
    (f"{A}, images => 'SELECT nope FROM images'", QueryError, 'column "nope" not found', "'SELECT nope FROM images'"),
    (f"{A}, images => 'DROP TABLE foods'", ArgumentError, "pass 'name', 'folder/' or '(SELECT …)'", "'DROP TABLE foods'"),
    (f"{A}, images => 'images; DROP TABLE foods'", ArgumentError, "more than one statement", "'images; DROP TABLE foods'"),
    (f"{A}, images => (SELECT * FROM images)", ArgumentError, "as text: images => '(SELECT …)'", "* FROM images"),
    (f"{A}, images => 3", ArgumentError, "a relation as text", "3"),
    (f"{A}, images => $1", ArgumentError, "Values were not provided", "images"),
    (f"{A}, key => 'idd'", UnknownNameError, "unknown column 'idd' in images => images; did you mean 'id'", "'idd'"),
    (f"{A}, structured => 'foods', key => ['idd', 'id']", UnknownNameError, "in structured => foods", "'idd', 'id'"),
    (f"{A}, key => 3", ArgumentError, "key must be 'name' or", "3"),
    (f"{A}, key => ['a', 'b', 'c']", ArgumentError, "key must be 'name' or", "'a', 'b', 'c'"),
    (f"{A}, images => 'two'", ArgumentError, "2 BLOB columns (image, image2): say which .* image => …", "'two'"),
    (f"{A}, images => 'texts'", ArgumentError, "2 VARCHAR columns (x, y)", "'texts'"),
    (f"{A}, images => 'nums'", ArgumentError, "no column of BLOBs or paths (id, n)", "'nums'"),
    (f"{A}, image => 'imag'", UnknownNameError, "did you mean 'image'", "'imag'"),
    (f"{A}, images => 'nums', image => 'n'", ArgumentError, "'n' is INTEGER, not BLOBs or paths", "'n'"),
    (f"{A}, structured => 'clash'", ArgumentError, "a column 'f6', which .* has already; give prefix =>", "'f6'"),
    (f"{A}, structured => 'clash', prefix => 3", ArgumentError, "prefix must be text", "3"),
    (f"{A}, structured => 'clash2'", ArgumentError, "a column 'error', which .* give prefix =>", "'f6'"),
    (f"{A}, pool => 'max'", UnknownNameError, "did you mean 'max2x2'", "'max'"),
    (f"{A}, format => 'tall'", UnknownNameError, "there is: wide, long", "'tall'"),
    (f"{A}, join_type => 'outer'", UnknownNameError, "there is: inner, left", "'outer'"),
    (f"{A}, on_error => 'ignore'", UnknownNameError, "there is: null, skip, raise", "'ignore'"),
    (f"{A}, dtype => 'float16'", UnknownNameError, "did you mean 'bfloat16'", "'float16'"),
    (f"{A}, weights => 3", ArgumentError, "weights must be text", "3"),
    (f"{A}, plan => 'fast'", UnknownNameError, "there is: distinct, eager, fused, lazy, staged", "'fast'"),
    (f"{A}, placement => 'above'", ArgumentError, "must be 'before' or 'after', not", "'above'"),
    (f"{A}, batch_rows => 0", ArgumentError, "at least 1", "0"),
    (f"{A}, batch_rows => 'many'", ArgumentError, "a whole number", "'many'"),
    (f"{A}, threads => -1", ArgumentError, "at least 1", "1"),
    (f"{A}, memory_limit => 'lots'", ArgumentError, "must be a size, like '4GB', not", "'lots'"),
    (f"{A}, device => 'tpu'", ArgumentError, "must be 'auto', 'cpu' or 'gpu', not", "'tpu'"),
    (f"{A}, seed => 'x'", ArgumentError, "a whole number", "'x'"),
    (f"{A}, memory_limit => '10MB'", PlanError, r"bytes) more than the limit of 9.5 MiB .* raise memory_limit to", None),
    (f"{A}, weights => 'nowhere.h5'", WeightsError, "no weights file .*nowhere.h5; put it there", None),
    (f"{A}, weights => 'imagenet'", WeightsError, "give weights => the path of a file", None),
    ("cnn => 'nowhere.keras'", WeightsError, "there is no file .*nowhere.keras", None),
    (f"{A}, on_error => 'raise'", UnreadableImageError, "image of key '4' .* use on_error => 'null'", None),
)  # fmt: skip


@pytest.fixture(scope="module")
def db():
    with foods.connect() as session:
        session.con.execute(
            "CREATE TABLE two AS SELECT id, image, image AS image2 FROM images;"
            "CREATE TABLE texts AS SELECT 1 AS id, 'a' AS x, 'b' AS y;"
            "CREATE TABLE nums AS SELECT 1 AS id, 2 AS n;"
            "CREATE TABLE clash AS SELECT 1 AS id, 'x' AS f6, 'e' AS error;"
            "CREATE TABLE clash2 AS SELECT 1 AS id, 'e' AS Error"
        )
        yield session


def usable_and_clean(db):
    assert db.con.sql("SELECT count(*) FROM foods").fetchall() == [(12,)]
    assert db.query(f"SELECT id FROM TRANSFER({A}) WHERE id = 0").fetchall() == [(0,)]
    assert foods.leftovers(db.con) == []


@pytest.mark.parametrize(("inside", "kind", "says", "underlined"), CASES)
def test_planned_whole(db, inside, kind, says, underlined):
    text = f"SELECT id, f6,\n  price FROM TRANSFER({inside})"
    if "structured" not in inside:
        text = f"SELECT *\nFROM TRANSFER({inside})"
    with pytest.raises(VistaError) as caught:
        db.query(text).fetchall()
    assert type(caught.value) is kind
    message, *place = str(caught.value).splitlines()
    pattern = ".*".join(re.escape(part) for part in says.split(".*"))
    assert re.search(pattern, message.replace("\\", "")), message
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, duckdb.Error)
    if underlined is not None:
        line, carets = place
        start = carets.index("^")
        assert line[start : start + carets.count("^")].strip("[]") == underlined.strip("[]")
    usable_and_clean(db)


TRAIN = "model => 'bad', data => 'foods'"
LATE = (  # (statement, what it says, what is underlined): names that are looked up while it runs
    (f"VISTA_TRAIN({TRAIN}, label => 'pricee')", "unknown label column 'pricee'", "'pricee'"),
    (f"VISTA_TRAIN({TRAIN}, label => 'price', key => 'idd')", "did you mean 'id'", "'idd'"),
    (f"VISTA_TRAIN({TRAIN}, label => 'price', exclude => ['x', 'id'])", "unknown exclude", "'x'"),
    ("VISTA_TRAIN(model => 'bad', label => 'y', data => 'fods')", 'Did you mean "foods', "'fods'"),
    (f"TRANSFER({A}, weights => 'bundeld')", "unknown weights 'bundeld'", "'bundeld'"),
    (
        "VISTA_COMPARE(images => 'images', label => 'y', cnn => 'lenet5', layers => ['lenet5.f66'])",
        "did you mean 'fc6'",
        "'lenet5.f66'",
    ),
)


@pytest.mark.parametrize(("call", "says", "underlined"), LATE)
def test_a_name_that_is_looked_up_late_is_underlined_too(db, call, says, underlined):
    with pytest.raises(QueryError) as caught:
        db.query(f"SELECT *\nFROM {call}").fetchall()
    message, line, carets = str(caught.value).splitlines()
    assert says in message
    start = carets.index("^")
    assert line[start : start + carets.count("^")] == underlined
    usable_and_clean(db)


def test_a_model_that_cannot_be_kept_says_where(tmp_path):
    (tmp_path / "models").write_text("a file where a folder should be")
    with vista_sql.connect() as db:
        db.con.execute("SET VARIABLE vista_home = $1", [str(tmp_path)])
        data = "SELECT i AS id, i % 7 AS a, i % 2 = 0 AS y FROM range(40) r(i)"
        with pytest.raises(ModelError, match=r"model 'm' cannot be kept in .*vista_home"):
            db.query(f"FROM VISTA_TRAIN(model => 'm', label => 'y', data => '{data}')").fetchall()


@pytest.mark.parametrize(("inside", "says"), [(case[0], case[2]) for case in CASES])
def test_on_a_bare_connection(db, inside, says):
    with pytest.raises((duckdb.Error, VistaError)):
        db.con.sql(f"SELECT * FROM TRANSFER({inside})").fetchall()
    usable_and_clean(db)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT TRANSFER(cnn => 'lenet5')", "TRANSFER is a table function: write it after FROM"),
        ("SELECT * FROM VISTA_LAYER('lenet5')", "did you mean 'vista_layers'"),
        ("SELECT * FROM TRANSFR(cnn => 'lenet5')", 'Did you mean "transfer"'),
        (f"SELECT prise FROM TRANSFER({A}, structured => 'foods')", '"price"'),
        (f"SELECT * FROM TRANSFER({A}", "syntax error"),
        ("", "there is no statement"),
        ("  ;; -- nothing", "there is no statement"),
    ],
)
def test_statements_that_cannot_be(db, text, says):
    with pytest.raises((duckdb.Error, VistaError)) as caught:
        db.query(text).fetchall()
    assert says in str(caught.value)
    usable_and_clean(db)


def test_statement_with_two_errors_of_kernels_raises_each_its_own(db):
    for key, picture in ((1, "first"), (2, "second")):
        text = f"SELECT f6 FROM TRANSFER({A}, images => $$SELECT {key} AS id, '{picture}'::BLOB AS i$$, on_error => 'raise')"
        with pytest.raises(UnreadableImageError) as caught:
            db.query(text).fetchall()
        assert caught.value.key == str(key)


def test_unreadable_and_missing_images_leave_their_neighbours_alone(fresh_db, tmp_path):
    fine = tmp_path / "fine.png"
    fine.write_bytes(foods.picture(3))
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "half.png").write_bytes(foods.picture(3)[:40])
    names = ["fine.png", "text.png", "empty.png", "half.png", "gone.png", "fine.png"]
    fresh_db.con.execute("CREATE TABLE files (id INTEGER, path VARCHAR)")
    rows = [(i, str(tmp_path / name)) for i, name in enumerate(names)] + [(6, None)]
    fresh_db.con.executemany("INSERT INTO files VALUES (?, ?)", rows)
    text = f"SELECT id, f6, error FROM TRANSFER({A}, images => 'files') ORDER BY id"
    found = fresh_db.query(text).fetchall()
    assert [row[0] for row in found if row[1] is not None] == [0, 5]
    assert found[0][1] == found[5][1]
    assert [bool(row[2]) for row in found] == [False, True, True, True, True, False, False]
    assert "gone.png: no such file" in found[4][2]
    assert fresh_db.con.sql(text).fetchall() == [(i, f and tuple(f), e) for i, f, e in found]
    skip = text.replace("'files'", "'files', on_error => 'skip'")
    assert [row[0] for row in fresh_db.query(skip).fetchall()] == [0, 5, 6]


def test_a_failed_statement_that_writes_leaves_nothing(fresh_db):
    with pytest.raises(UnreadableImageError):
        fresh_db.query(f"CREATE TABLE made AS SELECT f6 FROM TRANSFER({A}, on_error => 'raise')")
    assert "made" not in {row[0] for row in fresh_db.con.sql("SHOW TABLES").fetchall()}
    usable_and_clean(fresh_db)


def test_prefix_mends_a_collision(db):
    text = (
        f"SELECT error, f6, x_error, x_f6 FROM TRANSFER({A}, structured => 'clash', prefix => 'x_')"
    )
    (row,) = db.query(text).fetchall()
    assert row[:3] == ("e", "x", None)
    assert len(row[3]) == 84


def test_closed_connection_says_so():
    db = vista_sql.connect()
    db.close()
    with pytest.raises(duckdb.Error, match="closed"):
        db.query("SELECT 1")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("CAST('x' || id AS INTEGER)", duckdb.ConversionException),
        ("CASE WHEN id > 8 THEN error('late') END", duckdb.InvalidInputException),
    ],
)
@pytest.mark.parametrize("batch", ["", ", batch_rows => 4"])
@pytest.mark.parametrize("write", ["", "CREATE TABLE made AS "])
def test_an_error_of_a_relations_own_rows_is_duckdbs(db, value, kind, batch, write):
    rows = f"$$SELECT *, {value} AS x FROM foods$$"
    with pytest.raises(duckdb.Error) as caught:
        db.query(f"{write}FROM TRANSFER({A}, structured => {rows}{batch})").fetchall()
    said = str(caught.value)
    assert "late" in said or "Could not convert string 'x" in said
    assert not any(ours in said for ours in ("__vista_", "Traceback", "Python exception"))
    assert isinstance(caught.value, kind) or batch
    usable_and_clean(db)
