"""Rows come back from Arrow as DuckDB's own values, are printed short, and stand in a page."""

from __future__ import annotations

import base64
import json
import struct

import cv2
import duckdb
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import vista_sql
from vista_sql import catalog, kernels
from vista_sql.cli import app
from vista_sql.errors import PlanError, QueryError, StreamedError
from vista_sql.result import SHOWN_ROWS, Result

WITHIN = (
    "{c}",
    "[{c}, NULL]",
    "array_value({c})",
    "{{'a b': {c}, \"uuid\": [{c}]}}",
    "MAP {{1: {c}}}",
    "row({c}, 1)",
    "union_value(u := {c})",
)
ZONE = "SET TimeZone = 'Europe/Zurich'"


@pytest.fixture(scope="module")
def sides():
    """A session, and a connection of DuckDB's own, as equal as they can be."""
    with vista_sql.connect() as db, duckdb.connect() as con:
        for side in (db.con, con):
            side.execute(ZONE)
            side.execute("CREATE TYPE mood AS ENUM ('well', 'ill')")
            side.execute(
                "CREATE TABLE types AS SELECT *, 'ill'::mood AS mood, '{\"a\": [1]}'::JSON AS js, "
                "{'x': 1}::VARIANT AS variant FROM test_all_types(use_large_enum => false)"
            )
        yield db, con


COLUMNS = [
    name
    for name, *_ in duckdb.execute(
        "DESCRIBE FROM test_all_types(use_large_enum => false)"
    ).fetchall()
] + ["mood", "js", "variant"]


@pytest.mark.parametrize("within", WITHIN)
def test_every_type_comes_back_as_from_duckdb_itself(within, sides):
    db, con = sides
    columns = [within.format(c=f'"{name}"') for name in COLUMNS]
    text = f"SELECT {', '.join(columns)} FROM types"
    ours, theirs = db.query(text), con.execute(text).fetchall()
    for name, own, other in zip(
        COLUMNS, zip(*ours.fetchall(), strict=True), zip(*theirs, strict=True), strict=True
    ):
        assert repr(own) == repr(other), name
    assert repr(ours.fetchone()) == repr(theirs[0])


def test_keys_of_a_map_too(sides):
    db, con = sides
    for kind in ("uuid", "uhugeint", "time_tz", "bit", "date", "interval", "timestamp_tz"):
        text = f"SELECT MAP {{{kind}: 1}} FROM types WHERE {kind} IS NOT NULL"
        assert repr(db.query(text).fetchall()) == repr(con.execute(text).fetchall())


def test_equal_names_stay():
    result = vista_sql.query(
        "SELECT 1 AS a, 'x' AS a, TIMETZ '12:00:00+02' AS a, [1.5::FLOAT] AS f, [2.5::FLOAT] AS f"
    )
    assert result.columns == ["a", "a", "a", "f", "f"]
    assert result.types == ["INTEGER", "VARCHAR", "TIME WITH TIME ZONE", "FLOAT[]", "FLOAT[]"]
    assert result.fetchone()[:2] == (1, "x")
    assert result.df().shape == (1, 5)
    assert result._repr_html_().count("<th ") == 5
    with pytest.raises(QueryError, match="2 columns are called 'f': rename one, with AS"):
        result.numpy("f")
    with pytest.raises(QueryError, match="several columns are called 'a'"):
        result.torch()


# ── for people ──────────────────────────────────────────────────────────────────────────────────

WIDE = """SELECT 7 AS id, range(2048)::FLOAT[2048] AS fc, [[0.5::FLOAT, NULL]] AS small,
    [range(3)::FLOAT[] for x in range(14)] AS map, [1, 2] AS few FROM range(2)"""


def test_wide_layers_are_short(capsys):
    vista_sql.query(WIDE).show()
    lines = capsys.readouterr().out.splitlines()
    assert "│        float[2048]        │" in lines[2]
    assert "│ [0, 1, 2, … 2048 numbers]" in lines[4]
    assert "[[0, 1, 2], [0, 1, 2], [0, 1, 2], … 14 lists]" in lines[4]
    assert "[[0.5, NULL]]" in lines[4]
    assert "[1, 2]" in lines[4]
    assert max(map(len, lines)) < 160


def test_a_page_shows_rows_and_escapes_all():
    shown = vista_sql.query(
        "SELECT '<script>' || i AS \"<b>\", NULL AS n, repeat('x', 999) AS long, "
        "'&'::BLOB AS bytes FROM range(30) AS t(i)"
    )._repr_html_()
    assert "<script" not in shown
    assert "<b>" not in shown
    assert shown.count("&lt;script&gt;") == shown.count("<tr><td") == SHOWN_ROWS
    assert f"30 rows, the first {SHOWN_ROWS} are shown" in shown
    assert ">NULL</em>" in shown
    assert "x" * 199 + "…<" in shown
    assert "BLOB, 1 B" in shown
    assert "0 rows" in vista_sql.query("SELECT 1 AS a WHERE false")._repr_html_()


def encoded(ending, height, width, *options):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(ending, pixels, options)[1].tobytes()


def decoded(uri):
    _, _, data = uri.partition(",")
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (encoded(".png", 300, 600), (48, 96)),
        (encoded(".jpg", 2000, 500), (96, 24)),
        (encoded(".tiff", 20, 30), (20, 30)),  # no browser knows it
        (encoded(".png", 4, 5), (4, 5)),
    ],
)
def test_images_are_thumbnails(data, size):
    uri = catalog.module(kernels.PACKAGE, "images.thumbnails").data_uri(data)
    assert decoded(uri).shape[:2] == size
    assert len(uri) < 20_000


def test_an_image_that_lies_on_its_side_stands_up():
    data = encoded(".jpg", 100, 300)
    exif = b"Exif\0\0" + b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x112, 3, 1, 6, 0, 0)
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    uri = catalog.module(kernels.PACKAGE, "images.thumbnails").data_uri(turned)
    assert decoded(uri).shape[:2] == (96, 32)


def test_a_small_picture_passes_and_damage_is_no_picture():
    thumbnails = catalog.module(kernels.PACKAGE, "images.thumbnails")
    small = encoded(".png", 4, 5)
    assert base64.b64decode(thumbnails.data_uri(small).partition(",")[2]) == small
    for damaged in (b"", b"\x89PNG\r\n\x1a\n", small[:-9], b"<svg onload=alert(1)></svg>"):
        assert thumbnails.data_uri(damaged) is None
    whole = thumbnails.data_uri(small)
    for value in (small, {"bytes": small, "path": None}):
        assert thumbnails.of_value(value) == whole
    assert [thumbnails.of_value(value) for value in (None, {}, 7, "/no/such.png")] == [None] * 4
    pictures = pa.table({"image": [small, small[:-9]]})
    shown = vista_sql.query("FROM pictures")._repr_html_()
    assert shown.count("<img") == 1
    assert shown.count("BLOB, ") == 1
    assert pictures.num_rows == 2


# ── once ────────────────────────────────────────────────────────────────────────────────────────


def counted(n_batches, kept_bytes=None):
    """Return a result of 300 rows a batch, and the list of what was read of it."""
    read = []

    def batches(rows):
        for number in range(n_batches):
            read.append(number)
            yield pa.record_batch({"x": pa.array(range(300 * number, 300 * number + 300))})

    return Result([("x", "BIGINT")], batches, kept_bytes=kept_bytes), read


def test_a_page_runs_a_statement_once_and_keeps_it():
    result, read = counted(3)
    assert result._repr_html_() == result._repr_html_()
    assert len(result.fetchall()) == sum(batch.num_rows for batch in result.reader(100)) == 900
    assert read == [0, 1, 2]


def test_a_page_takes_nothing_from_a_stream():
    result, read = counted(2)
    stream = iter(result)
    next(stream)
    assert "streamed already" in result._repr_html_()
    assert sum(batch.num_rows for batch in stream) == 300
    assert read == [0, 1]
    with pytest.raises(StreamedError):
        result.arrow()


def test_a_page_of_what_cannot_be_kept_puts_it_back():
    result, read = counted(4, kept_bytes=3000)
    shown = result._repr_html_()
    assert read == [0, 1]
    assert "takes more than the 2.9 KiB that the memory limit leaves" in shown
    assert shown.count("<tr><td") == SHOWN_ROWS
    batches = list(result.reader(100))
    assert pa.Table.from_batches(batches)["x"].to_pylist() == list(range(1200))
    assert max(batch.num_rows for batch in batches[:6]) == 100
    assert read == [0, 1, 2, 3]
    with pytest.raises(PlanError):
        counted(4, kept_bytes=3000)[0].arrow()


# ── for programs ────────────────────────────────────────────────────────────────────────────────


def written(sql, form, *more):
    done = CliRunner().invoke(app, ["query", sql, "--format", form, *more])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_json_is_json_whatever_is_nested():
    said = json.loads(
        written(
            "SELECT {'a': 'nan'::DOUBLE, 'b': ['-inf'::FLOAT]} AS s, MAP {'k': 'inf'::DOUBLE} AS m,"
            " [[{'x': 'nan'::FLOAT}]] AS l, union_value(u := 'nan'::DOUBLE) AS u, "
            "['NaN, \"Infinity\"'] AS t, row('nan'::DOUBLE, 1) AS r, 'nan'::DOUBLE::VARIANT AS v, "
            "'NaN'::JSON AS j, MAP {'inf'::DOUBLE: 1.5} AS k, 1 AS a, 2 AS a",
            "json",
        ),
        parse_constant=lambda name: pytest.fail(f"{name} is no JSON"),
    )
    (row,) = said
    assert row["s"] == {"a": None, "b": [None]}
    assert (row["m"], row["l"], row["u"]) == ({"k": None}, [[{"x": None}]], {"u": None})
    assert row["t"] == ['NaN, "Infinity"']
    assert row["j"] is None
    assert row["k"] == {"inf": 1.5}


@pytest.mark.parametrize("form", ["csv", "json"])
def test_texts_of_every_type_are_duckdbs(form):
    kinds = "uuid, bit, uhugeint, hugeint, time_tz, interval, tuple, map, blob, medium_enum"
    sql = f"SELECT {kinds}, '{{\"a\": [1]}}'::JSON AS js FROM test_all_types()"
    if form == "csv":
        texts = duckdb.sql(sql).project("CAST(COLUMNS(*) AS VARCHAR)").fetchall()
        shown = written(sql, form)
        for text in filter(None, (value for row in texts for value in row)):
            assert text.replace('"', '""') in shown
    else:
        expected = duckdb.sql(f"SELECT to_json(r)::VARCHAR FROM ({sql}) AS r").fetchall()
        assert json.loads(written(sql, form)) == [json.loads(text) for (text,) in expected]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_files_lose_no_value(form, tmp_path):
    kinds = "uuid, bit, uhugeint, time_tz, interval" if form == "arrow" else "uuid, bit, uhugeint"
    file = tmp_path / f"rows.{form}"
    written(f"SELECT {kinds} FROM test_all_types()", form, "-o", str(file))
    if form == "parquet":
        read = duckdb.sql(f"FROM '{file}'")
    else:
        with pa.ipc.open_file(file) as opened:
            table = opened.read_all()
        read = duckdb.from_arrow(table)
    texts = read.project("CAST(COLUMNS(*) AS VARCHAR)").fetchall()
    expected = duckdb.sql(f"SELECT {kinds} FROM test_all_types()")
    assert texts == expected.project("CAST(COLUMNS(*) AS VARCHAR)").fetchall()


def test_what_parquet_cannot_hold_is_named(tmp_path):
    file = tmp_path / "rows.parquet"
    for column, kind in (
        ("interval", "INTERVAL"),
        ('"union"', "UNION"),
        ("empty_struct", "STRUCT"),
    ):
        sql = f"SELECT [{column}] AS v FROM test_all_types()"
        done = CliRunner().invoke(app, ["query", sql, "-o", str(file)])
        assert done.exit_code == 1
        assert f"column 'v' is {kind}" in done.stderr
        assert 'select CAST("v" AS VARCHAR)' in done.stderr
        assert not file.exists()
