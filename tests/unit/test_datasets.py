"""The demo's data: the same files and rows each time, and nothing else touched."""

import duckdb
import pytest

from vista_sql import datasets

cv2 = pytest.importorskip("cv2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "demo"
    datasets.digits(folder)
    return folder


def tables(folder):
    with duckdb.connect(str(folder / "demo.duckdb")) as con:
        digits = con.execute("FROM digits").fetchall()
        images = con.execute("SELECT id, parse_filename(path) FROM digit_images").fetchall()
        return digits, images


def test_every_image_is_what_was_scanned(folder):
    from sklearn.datasets import load_digits

    scans = load_digits()
    kept = scans.target >= 5
    with duckdb.connect(str(folder / "demo.duckdb")) as con:
        rows = con.execute(
            "SELECT digit, ink_mass, path FROM digits JOIN digit_images USING (id) ORDER BY id"
        ).fetchall()
    assert len(rows) == kept.sum() == len(list((folder / "images").iterdir()))
    for (digit, ink, path), scan, label in zip(
        rows, scans.images[kept], scans.target[kept], strict=True
    ):
        image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        assert abs(image / (255 / 16) - scan).max() < 0.05
        assert (digit, ink) == (label, scan.sum())


def test_bands_hold_all_the_ink_and_no_pixel(folder):
    with duckdb.connect(str(folder / "demo.duckdb")) as con:
        columns = [row[0] for row in con.execute("DESCRIBE digits").fetchall()]
        rows, cols = ("+".join(f"{what}_{i}" for i in range(1, 5)) for what in ("rows", "columns"))
        odd = con.execute(
            f"SELECT count(*) FROM digits WHERE {rows} <> ink_mass OR {cols} <> ink_mass"
        ).fetchall()
    assert odd == [(0,)]
    bands = [f"{what}_{i}" for what in ("rows", "columns") for i in range(1, 5)]
    assert columns == ["id", "digit", "ink_mass", *bands]


def test_written_again_it_is_the_same_and_leaves_the_rest(folder, tmp_path):
    other = tmp_path / "again"
    datasets.digits(other)
    (other / "notes.txt").write_text("mine")
    (other / "images" / "0000.png").write_bytes(b"damaged")
    with duckdb.connect(str(other / "demo.duckdb")) as con:
        con.execute("CREATE TABLE mine AS SELECT 1 AS a; DROP TABLE digits")
    datasets.digits(other)
    assert tables(other) == tables(folder)
    for image in sorted((folder / "images").iterdir()):
        assert (other / "images" / image.name).read_bytes() == image.read_bytes()
    assert (other / "notes.txt").read_text() == "mine"
    with duckdb.connect(str(other / "demo.duckdb")) as con:
        assert con.execute("FROM mine").fetchall() == [(1,)]


def test_its_own_folder_is_known(folder, tmp_path):
    assert datasets.is_digits(folder)
    assert not datasets.is_digits(tmp_path)
    (tmp_path / "README.txt").write_bytes(b"\xff\xfe my own")
    assert not datasets.is_digits(tmp_path)
