"""`images => 'photos/'`, and globs: the same rows in every host; a sentence where none are."""

from __future__ import annotations

import hosts
import pytest
from hosts import HOSTS, Refused
from PIL import Image

import vista_sql
from vista_sql.errors import QueryError, UnknownNameError

CNN = "cnn => 'lenet5', layers => ['f6']"
PICTURES = {  # by their place: the gray level
    "0.png": 10,
    "IMG_1.PNG": 50,
    "cats/2.jpeg": 90,
    "cats/old [1998]/it's 3.bmp": 130,
}
HIDDEN = (".4.png", ".thumbnails/5.png", "cats/._2.jpeg")
every_host = pytest.mark.parametrize("host", HOSTS)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The pictures, the tables about them, and the hosts' databases, each in a folder."""
    place = tmp_path_factory.mktemp("folders")
    for name, level in (*PICTURES.items(), *((name, 0) for name in HIDDEN)):
        file = place / "my photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (28, 28), level).save(file, "png")
    (place / "my photos" / "notes.txt").write_text("no picture")
    (place / "my photos" / "cats" / "again").symlink_to(place / "my photos")
    (place / "empty").mkdir()
    (place / "about-them.csv").write_text("file,label\n0.png,a\ncats/2.jpeg,b\nnone.png,a\n")
    (place / "by_picture.csv").write_text("picture,label\n0.png,a\ncats/2.jpeg,b\n")
    labels = "".join(f"{name},{i % 2}\n" for i, name in enumerate(PICTURES))
    (place / "labels.csv").write_text(f"file,label\n{labels}")
    (place / "here").mkdir()
    return place


@pytest.fixture(scope="module")
def clients(place, shell):
    with hosts.clients(place, shell, lambda con: None) as opened:
        yield opened


@pytest.fixture
def rows(host, clients, place, monkeypatch):
    """Return a function of TRANSFER's arguments → its columns and rows in a host.

    The process stands beside the pictures' folder, as the shell does.
    """
    monkeypatch.chdir(place / "here")

    def run(arguments, select="*"):
        table = clients[host].run(f"SELECT {select} FROM TRANSFER({CNN}, {arguments}) AS t")
        return table.columns, sorted(table.rows, key=lambda row: row[0])

    return run


@every_host
def test_a_folder_is_read_recursively_without_what_is_hidden(rows):
    columns, found = rows("images => '../my photos/'")
    assert columns == ("file", "folder", "f6", "error")
    assert [row[0] for row in found] == sorted(PICTURES)
    assert [row[1] for row in found] == [None, None, "cats", "old [1998]"]
    assert all(row[3] is None and len(row[2]) == 84 for row in found)
    assert len({str(row[2]) for row in found}) == len(PICTURES), "each its own picture"


@every_host
def test_a_glob_is_duckdbs_but_for_the_case_of_a_suffix(rows, place):
    found = rows(f"images => '{place}/my photos/*.png'", "file")[1]
    assert found == [("0.png",), ("IMG_1.PNG",)]
    found = rows("images => '../my ph?tos/cats/o*/'", "file, folder")[1]
    assert found == [("my photos/cats/old [1998]/it's 3.bmp", "old [1998]")]
    found = rows("images => '../my photos/cats/old [1998]/'", "file, folder, error")[1]
    assert found == [("it's 3.bmp", None, None)], "a folder that is called so"


@every_host
def test_a_folder_is_joined_by_its_files(rows):
    columns, found = rows("images => '../my photos/', structured => '../about-them.csv'")
    assert columns == ("file", "label", "f6", "error")
    assert [row[:2] for row in found] == [("0.png", "a"), ("cats/2.jpeg", "b")]
    for key in ("'picture'", "['picture', 'file']"):
        other = f"images => '../my photos/', structured => '../by_picture.csv', key => {key}"
        assert rows(other, "* EXCLUDE (picture)")[1] == [row[1:] for row in found]


@every_host
@pytest.mark.parametrize(
    ("images", "says"),
    [
        ("../my phots/", "unknown folder 'my phots'"),
        ("../my phots/*.jpg", "did you mean 'my photos'?"),
        ("../empty/", "there is no image in '../empty/'"),
        ("../my photos/*.txt", "1 file, hidden ones left out"),
    ],
)
def test_where_there_is_no_image_it_is_said(rows, images, says):
    with pytest.raises(Refused) as refused:
        rows(f"images => '{images}'")
    assert says in str(refused.value)
    assert "__vista_" not in str(refused.value)


@every_host
@pytest.mark.parametrize("further", ["", ", join_type => 'left'", ", placement => 'before'"])
@pytest.mark.parametrize("select", ["*", "count(*)"])
def test_where_no_row_joins_a_key_of_either_side_is_shown(rows, further, select):
    call = f"images => '../my photos/', structured => $${{}}$$, key => 'label'{further}"
    with pytest.raises(Refused) as refused:
        rows(call.format("SELECT label::VARCHAR AS label FROM '../labels.csv'"), select)
    said = str(refused.value)
    assert "its 'label' is for example '1', the folder's 'file' for a file '" in said
    assert "__vista_" not in said
    assert len(rows(call.format("SELECT 'x' AS label WHERE false"))[1]) == 0


@every_host
def test_a_filter_that_leaves_no_row_is_no_fault(rows):
    found = rows("images => '../my photos/', structured => '../labels.csv'", "DISTINCT label")
    assert [str(row[0]) for row in found[1]] == ["0", "1"]
    call = "images => '../my photos/', structured => $$FROM '../labels.csv' WHERE label > 5$$"
    assert rows(call, "file")[1] == []


@every_host
def test_every_call_with_images_takes_a_folder(host, clients, place, monkeypatch):
    monkeypatch.chdir(place / "here")
    run = clients[host].run
    kept = run(
        "SELECT images, errors FROM VISTA_MATERIALIZE(cnn => 'lenet5', layer => 'f6', "
        f"images => '../my photos/', store => '{place / host / 'store'}')"
    )
    assert kept.rows == [(4, 0)]
    compared = run(
        "SELECT feature_set, n_train + n_test FROM VISTA_COMPARE(images => '../my photos/', "
        "cnn => 'lenet5', layers => ['f6'], label => 'label', max_iterations => 2, "
        "structured => '../labels.csv')"
    )
    assert compared.rows == [("f6", 4)]


@every_host
def test_what_is_no_image_is_not_read_where_rows_are_joined_or_trained_on(
    host, clients, place, monkeypatch
):
    monkeypatch.chdir(place / "here")
    run, last = clients[host].run, "SELECT images, errors FROM VISTA_RUNS() LIMIT 1"
    (place / "my photos" / "notes.txt").write_text("no image")
    joined = run(
        f"SELECT count(f6) FROM TRANSFER({CNN}, images => '../my photos/') AS t "
        "JOIN '../labels.csv' AS l ON l.file = t.file"
    )
    assert joined.rows == [(4,)]
    assert run(last).rows == [(4, 0)]
    run(
        f"SELECT f1_score FROM VISTA_TRAIN(model => 'm', label => 'label', {CNN}, "
        "images => '../my photos/', structured => $$FROM '../labels.csv' WHERE label < 9$$, "
        "max_iterations => 2)"
    )
    assert run(last).rows == [(4, 0)]


@every_host
def test_a_folder_may_be_called_as_a_query_begins(rows, place):
    for name in ("with Ann", "select", "(new)", "Table of photos"):
        for folder in (place / "here" / name, place / "shell" / name):  # where a host stands
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("L", (28, 28), 7).save(folder / "one.png")
        assert rows(f"images => '{name}/'", "file, error")[1] == [("one.png", None)]


def test_a_folder_without_its_slash_and_no_images_at_all_are_told(place, monkeypatch):
    """What a user forgets first: the error says what to write."""
    monkeypatch.chdir(place)
    (place / "photos 2020").mkdir()
    for images in ("my photos", "empty", "photos 2020", str(place / "my photos")):
        with pytest.raises(QueryError, match="but a folder: a folder's name ends") as caught:
            vista_sql.query(f"FROM TRANSFER({CNN}, images => '{images}')")
        assert f"images => '{images}/'" in str(caught.value)
    with pytest.raises(QueryError, match="TRANSFER needs images => …, a folder"):
        vista_sql.query(f"FROM TRANSFER({CNN})")
    with pytest.raises(UnknownNameError, match="unknown table 'my photo'"):
        vista_sql.query(f"FROM TRANSFER({CNN}, images => '\"my photo\"')")
