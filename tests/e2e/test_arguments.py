"""What people write as TRANSFER's arguments: right in every host, or one sentence that says why."""

from __future__ import annotations

from contextlib import contextmanager

import hosts
import pytest
from hosts import HOSTS, Refused
from PIL import Image

import vista_sql
from vista_sql.errors import ArgumentError, QueryError

CNN = "cnn => 'lenet5', layers => ['f6']"
every_host = pytest.mark.parametrize("host", HOSTS)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with three pictures."""
    place = tmp_path_factory.mktemp("arguments")
    for i in range(3):
        Image.new("L", (28, 28), 80 * i).save(place / f"{i}.png")
    return place


def fill(con, place):
    paths = f"'{place}/' || range || '.png'"
    con.execute(f"CREATE TABLE photos AS SELECT range::INTEGER AS id, {paths} AS p FROM range(3)")
    con.execute("CREATE TABLE foods AS SELECT id, id * 1.5 AS price FROM photos")
    con.execute("CREATE TABLE labels AS SELECT p AS file, 'cat' AS category, id FROM photos")
    con.execute("CREATE TABLE named AS SELECT id || '.png' AS id, p FROM photos")
    con.execute("CREATE TABLE dated AS SELECT DATE '2026-01-01' AS id")


@pytest.fixture(scope="module")
def clients(place, shell):
    with hosts.clients(place, shell, lambda con: fill(con, place)) as opened:
        yield opened


@pytest.fixture
def rows(host, clients):
    """Return a function of a statement → its rows in a host."""

    return lambda statement: clients[host].run(statement).rows


@contextmanager
def refused(pattern):
    """Expect an error of a host that matches, and shows no name of ours."""
    with pytest.raises(Refused, match=pattern) as told:
        yield
    assert "__vista_" not in str(told.value)


@every_host
def test_a_macros_parameter_can_be_any_argument(rows):
    rows(
        "CREATE OR REPLACE TEMP MACRO feats(net, taken, pictures, named) AS TABLE SELECT id, "
        "len(f6) AS n FROM TRANSFER(cnn => net, layers => taken, images => pictures, "
        "key => named) AS t"
    )
    found = rows("SELECT * FROM feats('lenet5', ['f6'], 'photos', 'id') ORDER BY id")
    assert found == [(0, 84), (1, 84), (2, 84)]
    with refused("unknown cnn 'lenet'; did you mean 'lenet5'"):
        rows("SELECT * FROM feats('lenet', ['f6'], 'photos', 'id')")


@every_host
@pytest.mark.parametrize(
    "images",
    [
        "photos",
        "SELECT id, p FROM photos",
        "SELECT parse_filename(file, true) AS id, file FROM glob('{}/*.png')",
        "SELECT parse_filename(filename, true) AS id, content FROM read_blob('{}/*.png')",
    ],
)
def test_an_image_column_of_any_name_is_found(rows, place, images):
    columns = "* EXCLUDE (f6)"
    found = rows(
        f"SELECT {columns} FROM TRANSFER({CNN}, images => $${images.format(place)}$$) ORDER BY id"
    )
    assert [(int(row[0]), *row[1:]) for row in found] == [(0, None), (1, None), (2, None)]


@every_host
@pytest.mark.parametrize("structured", ["", ", structured => 'labels'"])
def test_labels_are_not_taken_for_images(rows, structured):
    call = f"TRANSFER({CNN}, images => 'labels', key => 'file'{structured}"
    with refused(r"no paths, but 'cat', and the key does.*image => 'file'"):
        rows(f"SELECT * FROM {call}) AS t")
    found = rows(f"SELECT category, error FROM {call}, image => 'file') AS t")
    assert found == [("cat", None)] * 3


@every_host
@pytest.mark.parametrize("column", ["*", "id", "id, error"])
def test_keys_of_types_that_do_not_compare_are_told(rows, host, column):
    for structured, images, kind in (("foods", "named", "INT"), ("dated", "photos", "DATE")):
        with refused(kind):
            rows(
                f"SELECT {column} FROM TRANSFER({CNN}, images => '{images}', image => 'p', "
                f"structured => '{structured}') AS t"
            )


@every_host
@pytest.mark.parametrize(
    "arguments",
    ["key => ['nope', 'id']", "key => ['id', 'nope']", "image => 'nope'"],
)
def test_columns_that_are_not_there_are_told(rows, arguments):
    with refused("nope"):
        rows(
            f"SELECT * FROM TRANSFER({CNN}, images => 'photos', structured => 'foods', "
            f"{arguments}) AS t"
        )


def test_keys_of_two_types_are_told_with_both_and_the_remedy(place):
    with vista_sql.connect() as db:
        fill(db.con, place)
        call = f"TRANSFER({CNN}, images => 'named', structured => {{}}) AS t"
        with pytest.raises(ArgumentError) as told:
            db.query(f"SELECT * FROM {call.format(repr('foods'))}")
        assert (
            "the key 'id' of structured is INTEGER, 'id' of images is VARCHAR, and they do not "
            "compare" in told.value.message
        )
        cast = """$$SELECT * REPLACE (CAST("id" AS VARCHAR) AS "id") FROM"""
        assert cast in told.value.message
        assert db.query(f"SELECT * FROM {call.format(f'{cast} foods$$')}").fetchall() == []
        db.con.execute("UPDATE named SET id = '1'")  # DuckDB compares them: so do we
        found = db.query(f"SELECT id FROM {call.format(repr('foods'))}").fetchall()
        assert found == [(1,)] * 3


@pytest.mark.parametrize(
    "inner", ["$$SELECT * FROM x$$", "$$x$$, structured => $$ y $$", "$$(SELECT 1)$$", "$$FROM x$$"]
)
@pytest.mark.parametrize("ask", ["query", "explain", "rewrite"])
def test_texts_that_do_not_nest_are_told(inner, ask):
    text = f"FROM VISTA_TRAIN(data => $$SELECT * FROM TRANSFER(cnn => 'hog', images => {inner})$$)"
    with vista_sql.connect() as db, pytest.raises(QueryError, match=r"\$a\$ … \$a\$") as told:
        getattr(db, ask)(text)
    assert told.value.place.start == text.index(inner)
