"""TFRecord files as rows and back, against TensorFlow's own reader and writer."""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import sys
from pathlib import Path

import cv2
import duckdb
import fsspec
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from vista_sql.udfs import records as kernel
from vista_sql.udfs.network.engines.tensorflow.process import load, on_thread

import vista_sql
from vista_sql.cli import app
from vista_sql.errors import ArgumentError, QueryError, TFRecordError, UnknownNameError
from vista_sql.tfrecord import examples, files, records, writing

COMPRESSIONS = ("none", "gzip", "zlib")
every_compression = pytest.mark.parametrize("compression", COMPRESSIONS)


@pytest.fixture(scope="module")
def session():
    with vista_sql.connect() as made:
        yield made


@pytest.fixture
def db(tmp_path, monkeypatch, session):
    """Return a session whose folder is this test's own and empty; its tables are not."""
    monkeypatch.chdir(tmp_path)
    return session


@pytest.fixture(scope="module")
def attached():
    with duckdb.connect() as con:
        vista_sql.attach(con)
        yield con


def tensorflow():
    load()
    import tensorflow

    return tensorflow


def example(**features):
    """Return an Example as TensorFlow serializes it: lists of int, float or bytes."""
    tf = tensorflow()

    def feature(values):
        if all(isinstance(value, bytes) for value in values):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if all(isinstance(value, int) for value in values):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    made = {name: feature(values) for name, values in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def write(file, serialized, compression="none"):
    option = None if compression == "none" else compression.upper()
    with tensorflow().io.TFRecordWriter(str(file), option) as writer:
        for one in serialized:
            writer.write(one)


def fetched(db, call):
    return db.query(f"FROM VISTA_READ_TFRECORD({call})").fetchall()


# ── what TensorFlow wrote ───────────────────────────────────────────────────────────────────────


@every_compression
def test_what_tensorflow_wrote_is_read(db, compression):
    write(
        "f.tfrecord",
        [
            example(id=[i], name=[f"né{i}".encode()], box=[0.5, float(i)], jpg=[b"\xff\xd8" * i])
            for i in range(1, 150)
        ],
        compression,
    )
    result = db.query("FROM VISTA_READ_TFRECORD('f.tfrecord')")
    assert dict(zip(result.columns, result.types, strict=True)) == {
        "box": "FLOAT[]",
        "id": "BIGINT",
        "jpg": "BLOB",
        "name": "VARCHAR",
    }
    assert result.fetchall() == [
        ([0.5, float(i)], i, b"\xff\xd8" * i, f"né{i}") for i in range(1, 150)
    ]
    with duckdb.connect() as con:
        vista_sql.attach(con)
        bare = con.sql("FROM VISTA_READ_TFRECORD('f.tfrecord') ORDER BY id").fetchall()
        assert bare == result.fetchall()


def test_features_may_be_absent_or_empty(db):
    write("f.tfrecord", [example(a=[1]), example(v=[1.5, 2.5]), example(a=[2], v=[0.5]), example()])
    assert fetched(db, "'f.tfrecord'") == [
        (1, None), (None, [1.5, 2.5]), (2, [0.5]), (None, None)
    ]  # fmt: skip
    db.query(
        "FROM VISTA_WRITE_TFRECORD('(SELECT UNNEST([[], NULL, [1::FLOAT]]) AS v)', 'g.tfrecord')"
    ).fetchall()
    assert fetched(db, "'g.tfrecord'") == [([],), (None,), ([1.0],)]


def test_columns_can_be_declared(db):
    write("f.tfrecord", [example(n=[1], v=[0.1, 0.2], t=[b"x"], more=[7])])
    found = db.query(
        "FROM VISTA_READ_TFRECORD('f.tfrecord', columns => "
        "{'t': 'blob', 'v': 'DOUBLE[2]', 'n': 'BOOLEAN[]', 'no': 'VARCHAR'})"
    )
    assert found.types == ["BLOB", "DOUBLE[2]", "BOOLEAN[]", "VARCHAR"]
    (row,) = found.fetchall()
    assert row == (b"x", pytest.approx([0.1, 0.2], abs=1e-7), [True], None)  # they are float32
    as_map = fetched(db, "'f.tfrecord', columns => MAP {'n': 'BIGINT'}")
    assert as_map == [(1,)]


def test_files_are_patterns_and_lists_in_their_order(db, tmp_path):
    for name in ("b", "a", "c"):
        write(f"{name}.tfrecord", [example(x=[name.encode()]), example(x=[name.encode()])])
    Path("empty.tfrecord").touch()
    rows = fetched(
        db, "['empty.tfrecord', 'b.*', '[ac].tfrecord'], filename => true, file_row_number => true"
    )
    assert [(x, Path(file).name, n) for x, file, n in rows] == [
        (name, f"{name}.tfrecord", n) for name in "bac" for n in (0, 1)
    ]
    assert fetched(db, f"'file://{tmp_path}/a.tfrecord'") == [("a",), ("a",)]


def test_only_what_is_asked_for_is_read(db, monkeypatch):
    """LIMIT stops after the first chunk; a chunk holds CHUNK_BYTES or one record more."""
    calls = []
    chunk = kernel._chunk
    monkeypatch.setattr(kernel, "_chunk", lambda *a: calls.append(a[3]) or chunk(*a))
    monkeypatch.setattr(kernel, "CHUNK_BYTES", 10_000)
    write("f.tfrecord", [example(x=[bytes([255]) * 1000]) for _ in range(995)])
    assert len(db.query("FROM VISTA_READ_TFRECORD('f.tfrecord') LIMIT 3").fetchall()) == 3
    assert calls == [None]
    assert len(fetched(db, "'f.tfrecord'")) == 995
    assert len(calls) == 1 + 100


READ_IN_A_PROCESS = """
import resource, sys, vista_sql
import pyarrow as pa
from vista_sql.tfrecord.writing import Writer

def peak():
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024

batch = pa.RecordBatch.from_pydict({"x": [bytes([255]) * 1_000_000] * 10})
for compression in sys.argv[1:]:
    writer = Writer(f"{compression}.tfrecord", compression)
    for _ in range(15):
        writer.write(batch)
    writer.finish()
with vista_sql.connect() as db:
    before = peak()
    for compression in sys.argv[1:]:
        call = f"VISTA_READ_TFRECORD('{compression}.tfrecord')"
        assert db.query(f"SELECT sum(octet_length(x)) FROM {call}").fetchall() == [(150_000_000,)]
    print(peak() - before)
"""


def test_files_are_read_a_chunk_at_a_time(db, tmp_path):
    """Reading 150 MB of records takes a few chunks of 8 MB: here, in Arrow, in DuckDB."""
    script = tmp_path / "script.py"
    script.write_text(READ_IN_A_PROCESS)
    command = [sys.executable, str(script), "none", "zlib"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 120_000_000


def test_compressed_files_are_resumed_not_read_again(db, monkeypatch):
    monkeypatch.setattr(kernel, "CHUNK_RECORDS", 10)
    write("f.tfrecord", [example(x=[i]) for i in range(500)], "gzip")
    inflated = []
    more = files.Stream._more
    monkeypatch.setattr(files.Stream, "_more", lambda s, p: inflated.append(1) or more(s, p))
    assert fetched(db, "'f.tfrecord'") == [(i,) for i in range(500)]
    resumed = len(inflated)
    monkeypatch.setattr(files.Positions, "take", lambda *_: None)  # as if forgotten
    assert fetched(db, "'f.tfrecord'") == [(i,) for i in range(500)]
    assert len(inflated) - resumed > 5 * resumed


def test_files_behind_uris_are_read(db):
    store = fsspec.filesystem("memory")
    for name, option in (("a", "none"), ("b", "gzip")):
        write(f"{name}.tfrecord", [example(x=[name.encode()])] * 3, option)
        store.pipe_file(f"/records/{name}.tfrecord", Path(f"{name}.tfrecord").read_bytes())
    rows = fetched(db, "'memory://records/*.tfrecord', filename => true")
    assert rows == [(name, f"memory:///records/{name}.tfrecord") for name in "aaabbb"]
    assert fetched(db, "'memory://records/b.tfrecord'") == [("b",)] * 3
    for uri in ("memory://records/c.tfrecord", "memory://nothing/*", "nosuch://a/b"):
        with pytest.raises(QueryError, match=r"no such file|cannot be opened"):
            fetched(db, f"'{uri}'")


def test_a_gzip_file_of_several_members_is_one_file(db):
    parts = [records.framed(example(x=[i])) for i in range(3)]
    Path("f.tfrecord").write_bytes(b"".join(map(gzip.compress, parts)))
    assert fetched(db, "'f.tfrecord'") == [(0,), (1,), (2,)]


# ── what is broken is named ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def three(db):
    """Return the bytes of a file of three records, and where each begins."""
    frames = [records.framed(example(x=[i])) for i in range(3)]
    return b"".join(frames), [0, len(frames[0]), len(frames[0]) * 2]


@pytest.mark.parametrize("damaged", [0, 1, 2])
@pytest.mark.parametrize(
    ("at", "reason"), [(0, "checksum of its length"), (9, "checksum of its length"),
                       (15, "checksum of its 14 bytes"), (-1, "checksum of its 14 bytes")],
)  # fmt: skip
def test_a_broken_record_is_named(db, three, damaged, at, reason):
    data, starts = bytearray(three[0]), [*three[1], len(three[0])]
    data[(starts[damaged] if at >= 0 else starts[damaged + 1]) + at] ^= 1
    Path("f.tfrecord").write_bytes(data)
    with pytest.raises((TFRecordError, ArgumentError), match=reason) as error:
        fetched(db, "'f.tfrecord', columns => {'x': 'BIGINT'}")
    told = f"f.tfrecord, record {damaged} (counted from 0), at byte {starts[damaged]}: "
    assert told in str(error.value)


@every_compression
def test_no_flipped_bit_goes_unnoticed(db, compression):
    """Wherever a bit flips that means something, reading ends with an error."""
    rows = [bytes([i]) * 40 for i in range(5)]
    write("f.tfrecord", [example(x=[row]) for row in rows], compression)
    whole = Path("f.tfrecord").read_bytes()
    errors = 0
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        Path("f.tfrecord").write_bytes(data)
        found = None
        with contextlib.suppress(TFRecordError), records.opened("f.tfrecord") as stream:
            found = [examples.parse(record, "f") for record in records.read(stream)]
        if found is None:
            errors += 1
        else:
            assert [one.features.feature["x"].bytes_list.value[0] for one in found] == rows
    unused = {"none": 0, "zlib": 1, "gzip": 11}[compression]  # bits: in the last byte, in the head
    assert errors >= len(whole) - unused


@every_compression
def test_a_cut_file_is_named(db, three, compression):
    data, starts = three
    if compression != "none":
        write("f.tfrecord", [example(x=[i]) for i in range(3)], compression)
        data = Path("f.tfrecord").read_bytes()
    for length in range(len(data) - 1, 12, -7):
        if compression == "none" and length in starts:
            continue  # a whole file of fewer records
        Path("f.tfrecord").write_bytes(data[:length])
        with pytest.raises(TFRecordError, match=r"the (compressed )?file ends"):
            fetched(db, "'f.tfrecord', columns => {'x': 'BIGINT'}")


def test_other_files_are_told_apart(db):
    Path("text.tfrecord").write_text("this is a text and no TFRecord file")
    Path("empty.tfrecord").touch()
    Path("other.tfrecord").write_bytes(records.framed(b"\x0a\xff\xff"))
    with pytest.raises(QueryError, match="this may be no TFRecord file"):
        fetched(db, "'text.tfrecord'")
    with pytest.raises(QueryError, match="no record has a feature from which"):
        fetched(db, "'empty.tfrecord'")
    assert fetched(db, "'empty.tfrecord', columns => {'x': 'BLOB'}") == []
    with pytest.raises(QueryError, match=r"it is not a tf\.train\.Example"):
        fetched(db, "'other.tfrecord'")
    with pytest.raises(QueryError, match=r"it is a folder; name the files in it, '\./\*'"):
        fetched(db, "'.'")
    with pytest.raises(QueryError, match=r"there is no such file .*check the path"):
        fetched(db, "'missing*.tfrecord'")


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        ({"x": [1, 2]}, r"feature 'x' has 2 values, not one; give columns => {'x': 'BIGINT\[\]'"),
        ({"x": [1.5]}, "feature 'x' is a float_list, not BIGINT"),
        ({"x": [1], "y": [1]}, "it has a feature 'y', which none of the first records has"),
        ({"x": [1], "t": [b"\xff"]}, "feature 't' is no UTF-8 text; .*'t': 'BLOB'"),
    ],
)
def test_a_record_that_does_not_fit_what_was_inferred_is_named(db, later, reason):
    usual = example(x=[1], t=[b"text"])
    write("f.tfrecord", [*[usual] * 150, example(**later)])
    with pytest.raises(TFRecordError, match=reason) as error:
        fetched(db, "'f.tfrecord'")
    assert "record 150 " in str(error.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("", "needs files"),
        ("3", "files must be a file, a pattern, or a list"),
        ("[]", "files is an empty list"),
        ("'f.tfrecord', columns => 'x'", "columns must be {'name': 'TYPE', …}"),
        ("'f.tfrecord', columns => {'x': 'DATE'}", "'x' cannot be 'DATE'; a feature is one of"),
        ("'f.tfrecord', filename => 'yes'", "filename must be true or false"),
    ],
)
def test_wrong_arguments_are_refused(db, call, words):
    write("f.tfrecord", [example(x=[1])])
    with pytest.raises(ArgumentError, match=words):
        fetched(db, call)


def test_columns_that_differ_in_case_only_are_refused(db):
    write("f.tfrecord", [example(x=[1], X=[2])])
    with pytest.raises(ArgumentError, match="'X' and 'x' differ in case only"):
        fetched(db, "'f.tfrecord'")
    assert fetched(db, "'f.tfrecord', columns => {'X': 'BIGINT'}") == [(2,)]


# ── what we wrote ───────────────────────────────────────────────────────────────────────────────

ROWS = """
SELECT i AS id, i % 2 = 0 AS even, 'né' || i AS name, CAST(i / 3 AS FLOAT) AS score,
  CAST([i, 0.5] AS FLOAT[2]) AS box, ['a', 'b'] AS tags, encode('x') || '\\xFF'::BLOB AS image,
  CASE WHEN i % 3 > 0 THEN CAST(i AS TINYINT) END AS maybe
FROM range(100) AS t(i) ORDER BY i DESC"""


@every_compression
def test_tensorflow_reads_what_was_written(db, compression):
    tf = tensorflow()
    (row,) = db.query(
        f"FROM VISTA_WRITE_TFRECORD($${ROWS}$$, 'f.tfrecord', compression => '{compression}')"
    ).fetchall()
    path = Path("f.tfrecord").absolute()
    assert row == (str(path), 100, path.stat().st_size)
    assert [p.name for p in Path().iterdir()] == ["f.tfrecord"]
    described = {
        "id": tf.io.FixedLenFeature([], tf.int64),
        "even": tf.io.FixedLenFeature([], tf.int64),
        "name": tf.io.FixedLenFeature([], tf.string),
        "score": tf.io.FixedLenFeature([], tf.float32),
        "box": tf.io.FixedLenFeature([2], tf.float32),
        "tags": tf.io.FixedLenFeature([2], tf.string),
        "image": tf.io.FixedLenFeature([], tf.string),
        "maybe": tf.io.FixedLenFeature([], tf.int64, -1),
    }
    option = "" if compression == "none" else compression.upper()

    def read():
        dataset = tf.data.TFRecordDataset([str(path)], compression_type=option)
        parsed = [tf.io.parse_single_example(one, described) for one in dataset]
        return [{n: np.asarray(value.numpy()).tolist() for n, value in p.items()} for p in parsed]

    for i, one in zip(reversed(range(100)), on_thread(read), strict=True):
        assert one == {
            "id": i,
            "even": int(i % 2 == 0),
            "name": f"né{i}".encode(),
            "score": float(np.float32(i / 3)),
            "box": [float(i), 0.5],
            "tags": [b"a", b"b"],
            "image": b"x\xff",
            "maybe": i if i % 3 else -1,
        }


def test_rows_come_back_as_they_were(db):
    db.query(f"CREATE OR REPLACE TABLE rows AS {ROWS}")
    kinds = {
        "id": "BIGINT", "even": "BOOLEAN", "name": "VARCHAR", "score": "FLOAT",
        "box": "FLOAT[2]", "tags": "VARCHAR[]", "image": "BLOB", "maybe": "TINYINT",
    }  # fmt: skip
    with duckdb.connect() as con:
        vista_sql.attach(con)
        con.execute(f"CREATE OR REPLACE TABLE rows AS {ROWS}")
        con.sql("FROM VISTA_WRITE_TFRECORD('rows', 'f.tfrecord')").fetchall()
        back = con.sql(f"FROM VISTA_READ_TFRECORD('f.tfrecord', columns => {kinds})").fetchall()
        assert back == con.sql("FROM rows").fetchall()
    inferred = db.query("FROM VISTA_READ_TFRECORD('f.tfrecord') SELECT * EXCLUDE (even, maybe)")
    wanted = db.query("FROM rows SELECT box, id, image, name, score, tags").fetchall()
    assert [tuple(map(_plain, row)) for row in inferred.fetchall()] == [
        tuple(map(_plain, row)) for row in wanted
    ]


def _plain(value):
    return list(value) if isinstance(value, (list, tuple)) else value


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "n": st.none() | st.integers(-(2**63), 2**63 - 1),
                "f": st.lists(st.floats(width=32, allow_nan=False)),
                "b": st.none() | st.binary(),
            }
        ),
        min_size=1,
    ),
    st.sampled_from(COMPRESSIONS),
    st.integers(1, 3),
)
def test_any_rows_come_back(tmp_path_factory, attached, rows, compression, shards):
    import pyarrow as pa

    table = pa.Table.from_pylist(
        rows,
        pa.schema([("n", pa.int64()), ("f", pa.list_(pa.float32())), ("b", pa.binary())]),
    )
    folder = tmp_path_factory.mktemp("any")
    file = str(folder / "f.tfrecord")
    writer = writing.Writer(file, compression, shards)
    for batch in table.to_batches(max_chunksize=2):
        writer.write(batch)
    written = writer.finish()
    writer.close()
    assert sorted(p.name for p in folder.iterdir()) == sorted(Path(w.file).name for w in written)
    kinds = "{'n': 'BIGINT', 'f': 'FLOAT[]', 'b': 'BLOB'}"
    found = [
        attached.sql(f"FROM VISTA_READ_TFRECORD('{one.file}', columns => {kinds})").fetchall()
        for one in written
    ]
    back = [found[i % shards][i // shards] for i in range(len(rows))]
    assert back == [(row["n"], row["f"], row["b"]) for row in rows]


def test_rows_are_written_in_their_order_by_any_number_of_threads(db):
    db.query("SET threads = 4").fetchall()
    data = "SELECT i FROM range(50_000) AS t(i) WHERE i % 10 < 3 ORDER BY hash(i)"
    rows = db.query(f"FROM VISTA_WRITE_TFRECORD($${data}$$, 'f.tfrecord')").fetchall()
    assert rows[0][1] == 15_000
    assert fetched(db, "'f.tfrecord'") == db.query(data).fetchall()


def test_shards_are_named_as_tensorflow_has_it(db):
    call = "VISTA_WRITE_TFRECORD('(SELECT i FROM range(10) AS t(i))', 'f.tfrecord', shards => 3)"
    rows = db.query(f"FROM {call}").fetchall()
    names = [f"f-0000{shard}-of-00003.tfrecord" for shard in range(3)]
    assert [(Path(file).name, n) for file, n, _ in rows] == list(zip(names, (4, 3, 3), strict=True))
    assert sorted(fetched(db, "'f-*'")) == [(i,) for i in range(10)]


def test_no_rows_make_an_empty_file(db):
    rows = db.query("FROM VISTA_WRITE_TFRECORD('(SELECT 1 AS a WHERE false)', 'f.tfrecord')")
    assert [row[1:] for row in rows.fetchall()] == [(0, 0)]
    assert Path("f.tfrecord").read_bytes() == b""


def test_planning_writes_nothing(db):
    call = "VISTA_WRITE_TFRECORD('(SELECT 1 AS a)', 'f.tfrecord')"
    db.explain(f"FROM {call}")
    db.query(f"DESCRIBE FROM {call}").fetchall()
    db.con.sql(f"EXPLAIN FROM {call}").fetchall()
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("SELECT 1.5 AS x", r"'x' is decimal128\(2, 1\).*select CAST\(\"x\" AS FLOAT\)"),
        ("SELECT [1.5::DOUBLE] AS x", r"'x' is .*select CAST\(\"x\" AS FLOAT\[\]\)"),
        ("SELECT DATE '2024-01-01' AS x", r"CAST\(\"x\" AS VARCHAR\)"),
        ("SELECT [1, NULL] AS x", "row 0 .* a NULL in a list of 'x'"),
        ("SELECT 1 AS a, error('no') AS x", "no"),
        ("SELECT CASE WHEN i > 5000 THEN error('late') ELSE i END AS x FROM range(9999) t(i)",
         "late"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_leaves_the_file_as_it_was(db, data, reason):
    Path("f.tfrecord").write_text("older")
    with pytest.raises((TFRecordError, duckdb.Error), match=reason):
        db.query(f"FROM VISTA_WRITE_TFRECORD($${data}$$, 'f.tfrecord')").fetchall()
    assert [p.name for p in Path().iterdir()] == ["f.tfrecord"]
    assert Path("f.tfrecord").read_text() == "older"


def test_an_export_that_is_left_leaves_nothing_when_python_ends(db, tmp_path):
    """On a bare connection nobody ends a statement that failed elsewhere than in the export."""
    script = tmp_path / "script.py"
    script.write_text(
        "import duckdb, pathlib, vista_sql\n"
        "con = duckdb.connect()\n"
        "vista_sql.attach(con)\n"
        "data = '(SELECT CASE WHEN i > 5000 THEN error($$late$$) ELSE i END AS x "
        "FROM range(9999) AS t(i))'\n"
        "try:\n"
        "    con.sql(f\"FROM VISTA_WRITE_TFRECORD({data!r}, 'f.tfrecord')\").fetchall()\n"
        "except duckdb.Error:\n"
        "    print(len(list(pathlib.Path().iterdir())))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=99)
    assert done.stdout == "2\n", done.stderr
    assert list(Path().iterdir()) == [Path("script.py")]


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        ("'t', 'no/f.tfrecord'", ArgumentError, "there is no folder"),
        ("'t', '.'", ArgumentError, "is a folder; name a file in it"),
        ("'t'", ArgumentError, "needs file"),
        ("'t', 'f', compression => 'zip'", UnknownNameError, "did you mean 'gzip'"),
        ("'t', 'f', shards => 0", ArgumentError, "shards"),
        ("'(SELECT', 'f'", QueryError, "neither a table's name nor a query"),
    ],
)
def test_wrong_places_are_refused(db, call, kind, words):
    db.query("CREATE OR REPLACE TABLE t AS SELECT 1 AS a")
    with pytest.raises(kind, match=words):
        db.query(f"FROM VISTA_WRITE_TFRECORD({call})").fetchall()


# ── with the rest ───────────────────────────────────────────────────────────────────────────────


def test_images_go_from_tfrecord_into_transfer_and_features_back(db):
    random = np.random.default_rng(0)
    pngs = [
        cv2.imencode(".png", random.integers(0, 256, (16, 16), np.uint8))[1].tobytes()
        for _ in range(40)
    ]
    write("f.tfrecord", [example(id=[i], image=[png]) for i, png in enumerate(pngs)], "gzip")
    db.query("CREATE OR REPLACE TABLE images (id BIGINT, image BLOB)")
    db.con.executemany("INSERT INTO images VALUES (?, ?)", list(enumerate(pngs)))
    call = "TRANSFER(cnn => 'lenet5', layers => ['fc6'], images => {}) ORDER BY id"
    wanted = db.query(f"SELECT id, fc6 FROM {call.format(chr(39) + 'images' + chr(39))}").fetchall()
    nested = "'(SELECT id, image FROM VISTA_READ_TFRECORD(''f.tfrecord''))'"
    assert db.query(f"SELECT id, fc6 FROM {call.format(nested)}").fetchall() == wanted
    with duckdb.connect() as con:
        vista_sql.attach(con)
        bare = con.sql(f"SELECT id, fc6 FROM {call.format(nested)}").fetchall()
        assert bare == wanted
    db.query(
        f"FROM VISTA_WRITE_TFRECORD($$SELECT id, fc6 FROM {call.format(nested)}$$, 'out.tfrecord')"
    ).fetchall()
    back = fetched(db, "'out.tfrecord', columns => {'id': 'BIGINT', 'fc6': 'FLOAT[84]'}")
    assert back == wanted


def vista(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="vista")


def test_export_writes_what_a_statement_returns(db):
    sql = "SELECT i, 'n' || i AS name FROM range(1000) AS t(i)"
    done = vista("export", sql, "-o", "f.tfrecord", "--compression", "gzip", "--shards", 2)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "f-00001-of-00002.tfrecord: 500 rows" in done.stderr
    read = vista("query", "FROM VISTA_READ_TFRECORD('f-*') ORDER BY i", "--format", "json")
    assert [row["i"] for row in json.loads(read.stdout)] == list(range(1000))


@pytest.mark.parametrize(
    ("args", "told", "code"),
    [
        (["SELECT 1"], "Missing option '-o'", 2),
        (["SELECT 1", "-o", "no/f.tfrecord"], "there is no folder no", 2),
        (["SELECT 1", "-o", "f", "--compression", "zip"], "'zip' is not one of", 2),
        (["SELECT 1.5 AS x", "-o", "f.tfrecord"], "column 'x' is decimal128", 1),
        (["SET VARIABLE a = 1", "-o", "f.tfrecord"], "has no rows to write", 1),
    ],
)
def test_export_says_what_is_wrong(db, args, told, code):
    done = vista("export", *args)
    assert (told in done.stderr, done.exit_code) == (True, code), done.stderr
    assert list(Path().iterdir()) == []
