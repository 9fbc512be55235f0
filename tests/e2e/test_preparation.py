"""VISTA_PREPARE and VISTA_IMAGE_ISSUES in statements: what is decoded, kept, told, refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from inferences import Count, N, images_db

import vista_sql
from vista_sql.errors import (
    ArgumentError,
    QueryError,
    UnreadableImageError,
    UnreadableImagesWarning,
)

LENET = "cnn => 'lenet5', layers => ['c5', 'f6']"
FEATURES = f"SELECT id, c5, f6 FROM TRANSFER({LENET}, images => '{{}}'{{}})"
NO_STORE = ", store => false"


@pytest.fixture(params=["query", "attach"])
def db(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with images_db(tmp_path, request.param) as session:
        session.con.execute("CREATE TABLE prepared (id INTEGER, image BLOB, error VARCHAR)")
        made = session.run("SELECT * FROM VISTA_PREPARE(cnn => 'lenet5', images => 'images')")
        rows = made.fetchall()
        session.con.executemany("INSERT INTO prepared VALUES (?, ?, ?)", rows)
        yield session


def test_a_prepared_image_is_never_decoded_again(db):
    run = Count(db)
    want = run(FEATURES.format("images", NO_STORE))
    assert (run.images_inferred, run.decoded) == (N, N)
    assert run(FEATURES.format("prepared", NO_STORE)) == want
    assert (run.images_inferred, run.decoded) == (N, 0)


def test_the_store_knows_a_prepared_image_by_its_pixels(db):
    run = Count(db)
    want = run(FEATURES.format("images", ""))
    assert run(FEATURES.format("prepared", "")) == want
    assert (run.images_inferred, run.images_from_store, run.decoded) == (N, 0, 0)
    assert run(FEATURES.format("prepared", "")) == want
    assert (run.images_inferred, run.images_from_store) == (0, N)
    db.con.execute("UPDATE prepared SET image = image || 'x'::BLOB WHERE id = 3")
    assert (3, None, None) in run(FEATURES.format("prepared", ""))


def test_files_hold_prepared_images(db):
    run = Count(db)
    want = run(FEATURES.format("images", NO_STORE))
    db.con.execute("COPY prepared TO 'p.parquet'")
    db.run(
        "SELECT * FROM VISTA_WRITE_TFRECORD('SELECT id, image FROM prepared', 'p.tfrecord', "
        "compression => 'gzip')"
    ).fetchall()
    read = "(SELECT * FROM VISTA_READ_TFRECORD(''p.tfrecord''))"
    for images in ("p.parquet", read):
        assert run(FEATURES.format(images, NO_STORE)) == want
        assert run.decoded == 0


def test_another_network_is_an_error_that_names_a_row(db):
    statement = f"SELECT id, f6, error FROM TRANSFER({LENET}, images => 'prepared', {{}})"
    for other in ("resize => 'bilinear'", "fit => 'pad'"):
        with pytest.raises(Exception, match=r"key '.*': the image was prepared as 32 × 32 pixels"):
            db.run(statement.format(other)).fetchall()
    assert db.con.sql("SELECT 1").fetchall() == [(1,)]
    assert len(db.run(statement.format("resize => 'antialias'")).fetchall()) == N


def test_ordinary_images_are_what_they_are_called(db):
    for form, begin in (("png", b"\x89PNG"), ("jpeg", b"\xff\xd8")):
        call = f"VISTA_PREPARE(size => [20, 30], images => 'images', format => '{form}')"
        ((data, error),) = db.run(f"SELECT image, error FROM {call} WHERE id = 5").fetchall()
        assert (data[: len(begin)], error) == (begin, None)
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (20, 30, 3)


def test_plans_start_from_the_pixels():
    with vista_sql.connect() as db:
        noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
        png = cv2.imencode(".png", noise)[1].tobytes()
        db.con.execute(
            "CREATE TABLE images AS SELECT i AS id, ?::BLOB AS image FROM range(9) r(i)", [png]
        )
        db.query("CREATE TABLE prepared AS FROM VISTA_PREPARE('lenet5', 'images')")
        seconds = {}
        for images in ("images", "prepared"):
            call = f"TRANSFER({LENET}, images => '{images}', store => false)"
            found = db.query(f"FROM VISTA_EXPLAIN($$SELECT f6 FROM {call}$$)").df()
            seconds[images] = found[found["chosen"] == True]["estimated_seconds"].sum()  # noqa: E712
            starts = found[found["item"] == "start"]["detail"].tolist()
            stage = found[found["topic"] == "stage"]["detail"].tolist()[0]
            assert starts == ([] if images == "images" else ["prepared image"])
            assert ("infer prepared image →" in stage) == (images == "prepared")
        assert seconds["prepared"] < seconds["images"]


@pytest.fixture(scope="module")
def session():
    with vista_sql.connect() as db:
        db.con.execute(
            "CREATE TABLE paths AS FROM (VALUES (1, 'no.png'), (2, NULL)) AS v(id, path)"
        )
        yield db


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "needs either cnn => "),
        ("size => 3, images => NULL", "VISTA_PREPARE needs images => "),
        ("cnn => 'lenet5', size => 3", "needs either cnn => "),
        ("size => 0", "size must be a whole number of pixels in"),
        ("size => [1, 2, 3]", "size must be a whole number of pixels in"),
        ("size => [true, 2]", "size must be a whole number of pixels in"),
        ("size => 3, weights => 'random'", "weights is of a network"),
        ("size => 3, format => 'gif'", "unknown format 'gif'"),
        ("size => 3, fit => 'crops'", "did you mean 'crop'"),
        ("cnn => 'lenet', format => 'raw'", "did you mean 'lenet5'"),
        ("size => 3, key => 'idd'", "unknown column 'idd'"),
        ("size => 3, image => 'id'", "is INTEGER, not BLOBs or paths"),
        (
            "size => 3, key => 'error', images => '(SELECT 1 AS error, path FROM paths)'",
            "the key is",
        ),
    ],
)
def test_what_cannot_be_prepared_is_refused(session, arguments, said):
    images = "" if "images" in arguments else "images => 'paths'"
    with pytest.raises(QueryError, match=said) as caught:
        session.query(f"FROM VISTA_PREPARE({', '.join(filter(None, [arguments, images]))})")
    assert caught.value.place is not None


def test_unreadable_images_keep_their_rows_or_do_not(session):
    call = "FROM VISTA_PREPARE(size => 4, images => 'paths', on_error => '{}') ORDER BY id"
    with pytest.warns(UnreadableImagesWarning):
        rows = session.query(call.format("null")).fetchall()
    assert rows == [(1, None, "cannot open no.png: no such file"), (2, None, None)]
    with pytest.warns(UnreadableImagesWarning):
        assert session.query(call.format("skip")).fetchall() == [(2, None, None)]
    with pytest.raises(UnreadableImageError, match="of key '1'"):
        session.query(call.format("raise")).fetchall()
    told = session.query("SELECT key, error FROM VISTA_ERRORS()").fetchall()
    assert ("1", "cannot open no.png: no such file") in told


def test_a_network_needs_no_weights_to_prepare_for(session):
    _, png = cv2.imencode(".png", np.arange(300).astype(np.uint8).reshape(10, 10, 3))
    images = f"(SELECT 1 AS id, from_hex(''{bytes(png).hex()}'') AS image)"
    made = {}
    for cnn in ("vgg16", "mobilenetv2"):  # neither has weights here
        call = f"VISTA_PREPARE(cnn => '{cnn}', images => '{images}')"
        ((_, made[cnn], error),) = session.query(f"FROM {call}").fetchall()
        assert error is None
    assert made["vgg16"] == made["mobilenetv2"], "BGR and RGB, 224 × 224, framed alike"


def test_more_than_memory_holds_is_refused(session):
    many = "(SELECT i AS id, CAST(i::VARCHAR AS BLOB) AS image FROM range(100) AS r(i))"
    statement = f"SELECT count(image) FROM VISTA_PREPARE(size => 4096, images => '{many}')"
    with pytest.raises(ArgumentError, match=r"100 raw images of 4096 × 4096 pixels take 5 GB"):
        session.query(statement).fetchall()


ODD = {
    "black": (np.zeros((90, 120, 3)), "is_dark is_blurry is_low_information is_gray"),
    "white": (np.full((90, 120, 3), 255), "is_light is_blurry is_low_information is_gray"),
    "strip": ("noise", (20, 120), "odd_size odd_aspect"),
    "small": ("noise", (9, 12), "odd_size"),
    "blurred": ("blurred", (90, 120), "is_blurry"),
    "gray": ("gray", (90, 120), "is_gray"),
    **{f"usual{i}": ("noise", (90 + i, 120), "") for i in range(8)},
}
FLAGS = (
    *("is_dark", "is_light", "is_blurry", "is_low_information", "is_gray"),
    *("odd_size", "odd_aspect"),
)


def picture(kind, sides):
    if kind == "blurred":
        y, x = np.mgrid[: sides[0], : sides[1]]
        return np.dstack([127 + 120 * np.sin(x / 30), 127 + 100 * np.cos(y / 25), x * 2])
    noise = np.random.default_rng(sides[0]).integers(0, 256, (*sides, 3)).astype(np.uint8)
    return noise if kind == "noise" else np.repeat(noise[..., :1], 3, 2)


def test_each_flag_finds_its_image(tmp_path):
    for name, (*made, _) in ODD.items():
        pixels = made[0] if len(made) == 1 else picture(*made)
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.asarray(pixels, np.uint8))
    with vista_sql.connect() as db:
        shown = ", ".join(FLAGS)
        rows = db.query(f"SELECT file, {shown} FROM VISTA_IMAGE_ISSUES('{tmp_path}/')").fetchall()
        found = {
            file.removesuffix(".png"): " ".join(np.array(FLAGS)[np.array(odd)])
            for file, *odd in rows
        }
        assert found == {name: flags for name, (*_, flags) in ODD.items()}
        call = f"VISTA_IMAGE_ISSUES('{tmp_path}/', dark => 1, blurry => 1000, odd_size => 1000)"
        ((n, dark, blurry, odd),) = db.query(
            "SELECT count(*), count_if(is_dark), count_if(is_blurry), count_if(odd_size) "
            f"FROM {call}"
        ).fetchall()
        assert (n, blurry, odd) == (len(ODD), len(ODD), 0)
        assert dark > 1


def test_thresholds_are_numbers_in_their_range(session):
    for wrong in ("dark => 2", "light => -1", "blurry => 'x'", "odd_size => -1", "odd_aspect => 3"):
        with pytest.raises(ArgumentError, match=f"{wrong.split()[0]} must be a number"):
            session.query(f"FROM VISTA_IMAGE_ISSUES('paths', {wrong})")


def test_a_key_may_have_the_name_of_what_is_measured(session):
    call = "VISTA_IMAGE_ISSUES('(SELECT 1 AS gray, NULL::BLOB AS x)', key => 'gray')"
    assert session.query(f"SELECT gray, is_gray FROM {call}").fetchall() == [(1, None)]
    with pytest.raises(ArgumentError, match="the key is called 'mode'"):
        session.query(
            "FROM VISTA_IMAGE_ISSUES('(SELECT 1 AS mode, NULL::BLOB AS x)', key => 'mode')"
        )
