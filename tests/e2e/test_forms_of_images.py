"""One picture in every form that an image column may have: the same features in every host."""

# ruff: noqa: E501 - a statement is a line

from __future__ import annotations

import base64

import hosts
import pytest
from inferences import Count, images_db, png

N = 3
CALL = "SELECT id, f6, error FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], images => {}) ORDER BY id"


def fill(con):
    """Make tables of the same pictures, a form each; row 3 has no image."""
    con.execute("CREATE TABLE blobs (id INTEGER, image BLOB)")
    con.executemany("INSERT INTO blobs VALUES (?, ?)", [(i, png(i)) for i in range(N)])
    con.execute("INSERT INTO blobs VALUES (3, NULL)")
    con.execute(
        "CREATE TABLE named AS SELECT id, image, 'file_' || id || '.png' AS file FROM blobs;"
        "CREATE TYPE file AS ENUM ('file_2.png', 'file_0.png', 'file_1.png')"
    )
    for form, expression in FORMS.items():
        con.execute(f"CREATE TABLE {form} AS SELECT id, {expression} AS image FROM named")


PATHS = "CASE WHEN id < 3 THEN file END"
FORMS = {  # table → expression over `named`
    "texts": PATHS,
    "structs": "CASE WHEN id < 3 THEN {'bytes': CASE WHEN id <> 1 THEN image END, 'path': file} END",
    "bare_structs": "{'path': NULL::VARCHAR, 'bytes': image}",
    "encoded": "to_base64(image)",
    "data_texts": "'data:image/png;base64,' || to_base64(image)",
    "enums": f"({PATHS})::file",
    "jsons": f"to_json({PATHS})",
    "json_nulls": f"coalesce(to_json({PATHS}), 'null'::JSON)",
}


@pytest.fixture(scope="module")
def clients(tmp_path_factory, shell):
    folder = tmp_path_factory.mktemp("forms")
    with hosts.clients(folder, shell, fill) as opened:
        yield opened, folder


@pytest.fixture(params=hosts.HOSTS)
def client(request, clients, monkeypatch):
    opened, folder = clients
    here = folder / request.param
    here.mkdir(exist_ok=True)
    for i in range(N):
        (here / f"file_{i}.png").write_bytes(png(i))
    monkeypatch.chdir(here)  # where relative paths start
    return opened[request.param]


def rows(client, images):
    return [
        (row[0], row[1] and list(row[1]), row[2]) for row in client.run(CALL.format(images)).rows
    ]


def test_every_form_gives_the_features_of_the_bytes(client):
    expected = rows(client, "blobs")
    assert [(row[0], row[1] is None, row[2]) for row in expected] == [
        (0, False, None), (1, False, None), (2, False, None), (3, True, None)
    ]  # fmt: skip
    for form in FORMS:
        named = "" if form in ("texts", "structs", "bare_structs") else ", image => 'image'"
        assert rows(client, form + named) == expected, form
        select = f"$$SELECT id, image FROM {form}$$, image => 'image'"
        assert rows(client, select) == expected, form


def test_structs_are_found_beside_texts(client):
    select = "$$SELECT id, file, s.image FROM structs AS s JOIN named USING (id)$$"
    assert rows(client, select) == rows(client, "blobs")


def test_nulls_of_no_type_are_no_images(client):
    found = rows(client, "$$SELECT id, NULL AS image FROM blobs$$, image => 'image'")
    assert found == [(i, None, None) for i in range(4)]


def test_what_is_malformed_is_its_rows_error(client):
    torn = base64.b64encode(png(1)).decode()[:-9]
    cases = {
        "'data:image/png,x'": "no data: URL of an image: it begins data:image/…;base64,",
        "'data:image/png;base64,AAAA'": "not an image (3 bytes)",
        f"'{torn}'": f"malformed base64 ({len(torn)} letters): its end is missing, or its padding",
        f"'{torn}' || chr(7) || 'AAAAAAAA'": (
            f"malformed base64 ({len(torn) + 9} letters): \\x07 is letter {len(torn) + 1}"
        ),
        "repeat('A', 5000)": None,
    }
    texts = " UNION ALL ".join(f"SELECT {i} AS id, {text} AS t" for i, text in enumerate(cases))
    found = rows(client, f"$$SELECT id, t AS image FROM ({texts})$$, image => 'image'")
    for (_, features, error), said in zip(found, cases.values(), strict=True):
        assert features is None
        assert said is None or error == said
        assert len(error) <= 200
        assert error.isprintable()
    assert found[-1][2].endswith("AAAA…: file name too long, and no base64 of an image")


def test_lists_of_bytes_become_blobs_as_the_error_says(client):
    lists = "SELECT id, [ord(c) FOR c IN []]::UTINYINT[] AS image FROM blobs"
    with pytest.raises(hosts.Refused, match=r"unhex\(list_aggregate\(list_transform\("):
        client.run(CALL.format(f"$${lists}$$, image => 'image'"))
    hexed = (
        "unhex(list_aggregate(list_transform(b, lambda b: format('{:02x}', b)), 'string_agg', ''))"
    )
    found = client.run(
        f"SELECT {hexed} = 'PNG'::BLOB AS same FROM (SELECT [80, 78, 71]::UTINYINT[] AS b)"
    )
    assert found.rows == [(True,)]


@pytest.mark.parametrize("host", ["query", "attach"])
def test_the_same_picture_in_any_form_is_inferred_once(host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with images_db(tmp_path, host) as db:
        fill(db.con)
        for i in range(N):
            (tmp_path / f"file_{i}.png").write_bytes(png(i))
        run = Count(db)
        expected = run(CALL.format("blobs"))
        assert run.images_inferred == N
        for form in FORMS:
            assert run(CALL.format(f"{form}, image => 'image'")) == expected, form
            assert (run.images_inferred, run.images_from_store) == (0, N), form
