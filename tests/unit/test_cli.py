"""The command line: what each command prints where, and its exit code."""

import hashlib
import io
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from pyarrow import parquet

import vista_sql
from vista_sql import roster, store
from vista_sql.cli import _output, app
from vista_sql.errors import Place, QueryError

VISTA = [sys.executable, "-m", "vista_sql"]
FEATURES = "SELECT id, fc6 FROM TRANSFER(cnn => 'lenet5', layers => ['fc6'], images => 'photos')"


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """Return a database with a table of images, none of which can be read."""
    file = tmp_path_factory.mktemp("db") / "photos.duckdb"
    with duckdb.connect(str(file)) as con:
        con.execute(
            "CREATE TABLE photos AS SELECT i AS id, 'no image'::BLOB AS image FROM range(3) t(i)"
        )
    return str(file)


def box(name, type_, *cells):
    """Return a column of numbers as DuckDB draws it."""
    width = max(map(len, (name, type_, *map(str, cells)))) + 2
    head = [f"│{word:^{width}}│" for word in (name, type_)]
    rows = [f"│{cell:>{width - 1}} │" for cell in cells]
    line = "─" * width
    return "".join(f"{x}\n" for x in (f"┌{line}┐", *head, f"├{line}┤", *rows, f"└{line}┘"))


def vista(*args, stdin=None):
    return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="vista", input=stdin)


# ── exit codes, and what goes where ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (["--version"], f"vista {vista_sql.__version__}\n"),
        (["query", "SELECT 1 AS a"], box("a", "int32", 1)),
        (["query", "SELECT 1 AS a; SELECT 2 AS b"], box("b", "int32", 2)),
        (["query", "SET VARIABLE a = 1"], ""),
        (["query", "SELECT 1 AS a, NULL AS b", "--format", "csv"], "a,b\n1,\n"),
        (["query", "SELECT 'a,\"b' AS c", "--format", "CSV"], 'c\n"a,""b"\n'),
        (["query", "SELECT [1, NULL] AS a", "--format", "json"], '[\n{"a":[1,null]}\n]\n'),
        (["query", "SELECT 1 AS a WHERE false", "--format", "json"], "[]\n"),
        (["query", "SELECT 1 AS a WHERE false", "--format", "csv"], "a\n"),
    ],
)
def test_rows_go_to_stdout(args, shown):
    done = vista(*args)
    assert (done.stdout, done.stderr, done.exit_code) == (shown, "", 0)


@pytest.mark.parametrize(
    ("args", "told", "code"),
    [
        ([], "Usage: vista", 2),
        (["quary", "SELECT 1"], "did you mean 'query'?", 2),
        (["query"], "Missing argument 'SQL|FILE|-'", 2),
        (["query", "SELECT 1", "--format", "xml"], "'xml' is not one of", 2),
        (["query", "missing.sql"], "there is no file missing.sql", 2),
        (["query", "SELECT 1", "-o", "/no/such/folder/x.csv"], "no folder /no/such/folder", 2),
        (["query", "SELECT 1", "-o", "/tmp/x.xyz"], "x.xyz does not end in .csv", 2),
        (["layers"], "Missing argument", 2),
        (["query", ""], "vista: there is no statement", 1),
        (["models", "--db", "missing.duckdb"], "no database missing.duckdb", 1),
        (["export-model", "m"], "Missing option '-o'", 2),
        (["export-model", "m", "-o", "x.onnx"], "name the database that the model is in", 2),
        (["export-model", "m", "-o", "/no/such/folder/x"], "no folder /no/such/folder", 2),
        (["export-model", "m", "-o", "x", "--db", "missing.duckdb"], "no database missing", 1),
        (["models"], "name the database that the models are in: --db FILE", 2),
        (["models", "drop", "--db", "x.duckdb"], "`vista models drop` takes a MODEL", 2),
        (["query", "SELECT 1", "--db", "no/folder/x.duckdb"], "no database no/folder/x.duckdb", 1),
        (["explain", "CREATE TABLE a AS SELECT 1", "--db", "missing.duckdb"], "no database", 1),
        (["query", "SELECT x"], 'vista: Binder Error: Referenced column "x" was not', 1),
        (["query", "SELEC 1"], "vista: Parser Error", 1),
        (["query", "FROM TRANSFER(cnn => 'lenet')"], "did you mean 'lenet5'?", 1),
        (["query", "FROM VISTA_CNN()"], "did you mean 'vista_cnns'?", 1),
        (
            ["explain", "SELECT 1; SELECT 2"],
            "only one statement can be planned at a time, not 2",
            1,
        ),
        (["layers", "lenet6"], "vista: unknown cnn 'lenet6'; did you mean 'lenet5'?", 1),
        (["layers", "no.keras"], "there is no file", 1),
    ],
)
def test_what_is_wrong_goes_to_stderr(args, told, code):
    done = vista(*args)
    assert (done.stdout, done.exit_code) == ("", code)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_underlines_its_place(db):
    done = vista("query", f"{FEATURES} WHERE id < 2".replace("'fc6'", "'fc9'"), "--db", db)
    message, line, carets = done.stderr.splitlines()
    assert message.startswith("vista: unknown layer 'fc9' in cnn 'lenet5'; did you mean 'fc6'?")
    assert line[carets.index("^") : carets.rindex("^") + 1] == "'fc9'"


def test_a_long_line_is_cut_around_the_place():
    text = f"SELECT {'a' * 90}, conv9 FROM x WHERE {'b' * 90}"
    start = text.index("conv9")
    for width in (40, 60, 100, None):
        line, carets = Place(text, start, start + 5).underline(width).splitlines()
        assert len(line) <= (width or len(text) + 8)
        assert line[carets.index("^") : carets.rindex("^") + 1] == "conv9"


@pytest.mark.parametrize(
    "args", [["--debug", "query", "SELECT x"], ["query", "SELECT x", "--debug"]]
)
def test_debug_shows_the_traceback(args):
    done = vista(*args)
    assert done.exit_code == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.splitlines()[-1].startswith(("vista: ", "LINE 1", " "))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (QueryError("no", Place("SELECT x", 7, 8)), "no\nLINE 1: SELECT x\n               ^"),
        (OSError(28, "No space left on device", "a.csv"), "a.csv: No space left on device; free"),
        (PermissionError(13, "Permission denied", "b"), "b: Permission denied; name a place"),
        (MemoryError(), "VISTA_SQL_MEMORY_LIMIT"),
        (KeyError("x"), "KeyError: 'x'; this is a fault of vista_sql"),
    ],
)
def test_every_error_is_told_with_its_remedy(error, told, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(vista_sql.Session, "query", fail)
    done = vista("query", "SELECT 1")
    assert (done.stdout, done.exit_code) == ("", 1)
    assert done.stderr.startswith("vista: ")
    assert told in done.stderr


def test_a_kept_terminal_is_told_of_ctrl_c(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(vista_sql.Session, "query", interrupted)
    done = vista("query", "SELECT 1")
    assert (done.stdout, done.exit_code) == ("", 130)
    assert done.stderr == "vista: interrupted; run it again to start over\n"


# ── query ──────────────────────────────────────────────────────────────────────────────────────


def test_statements_come_from_files_and_stdin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.sql").write_bytes(b"\xef\xbb\xbf-- a comment\nSELECT 1 AS one;\n")
    (tmp_path / "two").write_text("SELECT 2 AS two")
    (tmp_path / "bad.sql").write_bytes(b"\xff\xfe\x00")
    assert vista("query", "one.sql", "--format", "csv").stdout == "one\n1\n"
    assert vista("query", "two", "--format", "csv").stdout == "two\n2\n"
    assert vista("query", "-", "--format", "csv", stdin="SELECT 3 AS x").stdout == "x\n3\n"
    bad = vista("query", "bad.sql")
    assert "bad.sql is not a UTF-8 text file" in bad.stderr
    assert bad.exit_code == 2


def test_every_format_holds_the_same_rows(tmp_path):
    text = "CASE WHEN id > 0 THEN 'é' END"
    sql = f"SELECT id, [id, 0.5]::FLOAT[2] AS v, {text} AS s FROM range(300) t(id)"
    expected = vista_sql.query(sql).arrow()
    for name in ("parquet", "arrow", "json", "csv"):
        file = tmp_path / f"rows.{name}"
        done = vista("query", sql, "-o", file)
        assert (done.output, done.exit_code) == ("", 0)
        piped = vista("query", sql, "--format", name).stdout_bytes
        if name == "arrow":
            assert pa.ipc.open_file(file).read_all().equals(expected)
            assert pa.ipc.open_stream(piped).read_all().equals(expected)
        elif name == "parquet":
            assert parquet.read_table(file).to_pylist() == expected.to_pylist()
            assert parquet.read_table(io.BytesIO(piped)).to_pylist() == expected.to_pylist()
        else:
            assert file.read_bytes() == piped
    assert json.loads((tmp_path / "rows.json").read_text()) == expected.to_pylist()
    with duckdb.connect() as con:
        typed = "{'id': 'BIGINT', 'v': 'FLOAT[2]', 's': 'VARCHAR'}"
        read = con.execute(f"FROM read_csv('{tmp_path}/rows.csv', columns = {typed})").fetchall()
    assert read == [tuple(row.values()) for row in
                    [{**r, "v": tuple(r["v"])} for r in expected.to_pylist()]]  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"rows.{name}" for name in ("arrow", "csv", "json", "parquet")
    ]


def test_json_knows_no_nan():
    sql = "SELECT 'nan'::FLOAT AS a, ['inf'::DOUBLE, 1] AS b, ['nan'::FLOAT]::FLOAT[1] AS c"
    done = vista("query", sql, "--format", "json")
    assert json.loads(done.stdout) == [{"a": None, "b": [None, 1], "c": [None]}]


def test_a_file_appears_only_whole(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("before")
    done = vista("query", "SELECT CASE WHEN i > 5000 THEN error('no') END AS a "
                 "FROM range(10000) t(i)", "-o", file)  # fmt: skip
    assert (done.stderr, done.exit_code) == ("vista: Invalid Input Error: no\n", 1)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]
    done = vista("query", "CREATE TABLE t (a INTEGER)", "-o", tmp_path / "none.csv")
    assert "has no rows to write" in done.stderr


def test_tables_show_the_first_rows():
    done = vista("query", "FROM range(60)", "--rows", "3")
    assert done.stdout == box("range", "int64", 0, 1, 2)
    assert done.stderr.startswith("vista: the first 3 rows; ")
    for args, n_rows in (((), 50), (("--rows", "0"), 60)):
        shown = vista("query", "FROM range(60)", *args).stdout
        cells = [line.strip("│ ") for line in shown.splitlines() if line.startswith("│")]
        assert cells[2:] == list(map(str, range(n_rows)))


def test_a_table_without_rows_has_its_columns():
    lines = vista("query", "SELECT 1 AS a WHERE false").stdout.splitlines()
    assert [line.strip("│ ") for line in lines[1:3]] == ["a", "int32"]
    assert lines[-1].strip() == "0 rows"


def test_writing_creates_a_database(tmp_path):
    file = tmp_path / "new.duckdb"
    assert vista("query", "CREATE TABLE a AS SELECT 7 AS x", "--db", file).exit_code == 0
    assert vista("query", "FROM a", "--db", file, "--format", "csv").stdout == "x\n7\n"


def test_a_database_is_created_for_any_statement_and_that_is_told(tmp_path):
    file = tmp_path / "new.duckdb"
    done = vista("query", "SELECT 7 AS x", "--db", file, "--format", "csv")
    assert (done.exit_code, done.stdout) == (0, "x\n7\n")
    assert done.stderr == f"vista: {file} is new\n"
    assert vista("query", "SELECT 7 AS x", "--db", file).stderr == ""


TRAIN = (
    "SELECT feature_set FROM VISTA_TRAIN(model => 'toy', label => 'y', data => $$SELECT i AS id, "
    "i % 7 AS a, i % 2 AS y FROM range(200) r(i)$$, seed => {})"
)


def test_models_without_a_database_are_said_to_be_gone():
    done = vista("query", TRAIN.format(1))
    assert done.exit_code == 0
    assert "model 'toy' is gone, for the database is in memory: --db FILE keeps it" in done.stderr


def test_models_are_listed_shown_and_dropped(tmp_path):
    file = tmp_path / "toy.duckdb"
    for seed in (1, 2, 3):
        done = vista("query", TRAIN.format(seed), "--db", file)
        assert "is gone" not in done.stderr
    listed = vista("models", "--db", file, "--format", "csv").stdout.splitlines()
    assert [line.split(",")[0] for line in listed[1:]] == [f"toy/structured@{v}" for v in (3, 2, 1)]
    shown = vista("models", "show", "toy@2", "--db", file, "--format", "json")
    assert '"model":"toy/structured@2"' in shown.stdout.replace('": ', '":')
    part = vista("models", "drop", "toy/structured@2", "--db", file)
    assert (part.exit_code, "dropped as a whole: toy@2" in part.stderr) == (1, True)
    assert vista("models", "drop", "toy@2", "--db", file).stderr == "gone: toy@2\n"
    assert "unknown model 'toy@2'" in vista("models", "drop", "toy@2", "--db", file).stderr
    assert vista("models", "drop", "toy", "--db", file).stderr == "gone: toy@1, toy@3\n"
    assert vista("models", "--db", file, "--format", "csv").stdout.count("\n") == 1


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """A database that another process has open, as a notebook does, with a model and a run."""
    file = tmp_path_factory.mktemp("held") / "toy.duckdb"
    assert vista("query", TRAIN.format(1), "--db", file).exit_code == 0
    code = f"import duckdb, sys; c = duckdb.connect({str(file)!r}); print('open', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "open\n"
        yield file
        process.stdin.close()


def test_what_needs_no_table_runs_beside_a_notebook(held, tmp_path):
    listed = vista("models", "--db", held, "--format", "csv")
    assert "toy/structured@1" in listed.stdout
    shown = vista("models", "show", "toy", "--db", held, "--format", "json")
    assert json.loads(shown.stdout)[0]["label"] == "y"
    page = vista("report", "--db", held, "-o", tmp_path / "toy.html")
    assert (page.exit_code, page.stderr) == (0, "")
    (tmp_path / "photos.parquet").write_bytes(b"")
    duckdb.sql("SELECT 1 AS id, ''::BLOB AS image").write_parquet(str(tmp_path / "p.parquet"))
    read = f"(FROM ''{tmp_path}/p.parquet'')"
    call = f"FROM TRANSFER(cnn => 'hog', images => '{read}')"
    explained = vista("explain", call, "--db", held)
    assert "plan: " in explained.stdout, explained.stderr
    assert "vista_infer" in vista("rewrite", call, "--db", held).stdout


def test_what_needs_a_table_says_who_holds_it(held):
    call = "FROM TRANSFER(cnn => 'hog', images => 'photos')"
    for arguments in (
        ("explain", call),
        ("rewrite", call),
        ("query", "FROM t"),
        ("export", "FROM t", "-o", "x"),
    ):
        done = vista(*arguments, "--db", held)
        assert (done.exit_code, done.stdout) == (1, "")
        assert re.search(
            r"toy.duckdb is open in process \d+ .* close it there with db.close\(\)", done.stderr
        )
        assert len(done.stderr.splitlines()) == 1


def test_an_image_far_down_is_named(tmp_path):
    file = tmp_path / "many.duckdb"
    with duckdb.connect(str(file)) as con:
        bad = "CASE WHEN id = 2900 THEN 'no image'::BLOB END"
        con.execute(f"CREATE TABLE photos AS SELECT id, {bad} AS image FROM range(3000) t(id)")
    transfer = "TRANSFER(cnn => 'lenet5', images => 'photos', on_error => 'raise')"
    done = vista("query", f"SELECT error FROM {transfer}", "--db", file, "--format", "csv")
    assert done.exit_code == 1
    assert done.stderr.startswith("vista: image of key '2900' cannot be read: ")
    assert len(done.stderr.splitlines()) == 1


def test_plans_are_printed(db):
    explained = vista("explain", FEATURES, "--db", db)
    assert explained.exit_code == 0
    assert "layers computed: fc6" in explained.stdout
    rewritten = vista("rewrite", FEATURES, "--db", db)
    assert "vista_infer_1(" in rewritten.stdout
    assert explained.stderr == rewritten.stderr == ""


def test_the_roster_is_listed():
    listed = json.loads(vista("cnns", "--format", "json").stdout)
    assert {"lenet5", "alexnet", "vgg16", "resnet50"} <= {row["cnn"] for row in listed}
    layers = json.loads(vista("layers", "LeNet5", "--format", "json").stdout)
    assert [row["alias"] for row in layers if row["feature"]] == ["conv2", "pool2", "conv3", "fc6"]


# ── tables ─────────────────────────────────────────────────────────────────────────────────────


def table(sql, **options):
    result = vista_sql.query(sql)
    return _output._box(result.arrow(), result.types, **options).splitlines()


def test_tables_fit_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    values = "repeat('many words ', 20) AS text, 1 AS a, range(999)::FLOAT[999] AS v"
    lines = table(f"SELECT {values} FROM range(3)", in_terminal=True)
    assert max(map(len, lines)) <= 90
    assert sum(line.startswith("│") for line in lines) == 2 + 3  # no value takes several lines
    wide = f"SELECT {', '.join(f'{i} AS column_{i}' for i in range(20))}"
    lines = table(wide, in_terminal=True)
    assert max(map(len, lines)) <= 90
    assert "│ … │" in lines[1]
    assert "20 columns (" in lines[-1]


def test_where_no_terminal_is_all_columns_are_shown():
    wide = f"SELECT {', '.join(f'range({i})::FLOAT[{i}] AS c{i}' for i in range(101, 131))}"
    head = table(wide, in_terminal=False)[1]
    assert head.split()[1::2] == [f"c{i}" for i in range(101, 131)]


def test_cells_show_what_values_are():
    sql = """SELECT 0.5::FLOAT AS f, NULL AS n, true AS b, ['x', 'y'] AS l, {'a': 1} AS s,
        MAP {'k': 0.5::DOUBLE} AS m, '[bold]' AS markup"""
    row = table(sql, in_terminal=False)[4]
    for cell in ("0.5", "NULL", "true", "[x, y]", "{'a': 1}", "{k=0.5}", "[bold]"):
        assert f" {cell} " in row


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "│ é"), ("latin-1", "| é"), ("ascii", "| ?")]
)
def test_a_terminal_that_knows_no_frames_gets_plain_ones(encoding, shown, monkeypatch):
    monkeypatch.setattr(_output.sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    text = _output._encoded("│ é │\n", None).decode(encoding)
    assert text.startswith(shown)
    assert _output._encoded("│ é │\n", Path("file.txt")).decode() == "│ é │\n"


# ── as a process ───────────────────────────────────────────────────────────────────────────────


def test_nothing_heavy_loads_for_help():
    code = """
import sys
from vista_sql.cli import app
for args in (["--version"], ["--help"], ["query", "--help"], ["doctor", "--help"]):
    app(args, standalone_mode=False)
heavy = ("duckdb", "tensorflow", "keras", "pyarrow", "sqlglot", "numpy", "sklearn", "rich")
print([name for name in heavy if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_closed_pipe_is_no_error():
    args = [*VISTA, "query", "FROM range(3000000)", "--format", "csv"]
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"range\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
@pytest.mark.parametrize("form", ["table", "csv", "arrow"])
def test_a_full_disk_is_one_line(form):
    args = [*VISTA, "query", "FROM range(100000)", "--format", form]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(args, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "first 50 rows" not in line]
    assert lines == ["vista: No space left on device; free some space, or name a place that has it"]


def test_ctrl_c_ends_a_query():
    args = [*VISTA, "query", "FROM range(1000000000000)", "--format", "csv", "-o", "/dev/stdout"]
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"range\n"
        process.send_signal(signal.SIGINT)
        process.stdout.close()
        assert process.stderr.read() == b"vista: interrupted; run it again to start over\n"
        assert process.wait(60) == 130


def test_ctrl_c_ends_native_code_too():
    code = """
import hashlib
import threading
from vista_sql.cli import _interrupt
with _interrupt.prompt():
    threading.Timer(0.5, print, ["begun"], {"flush": True}).start()
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 1_000_000_000)
"""
    args = [sys.executable, "-c", code]
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        assert process.wait(60) == 130
        assert time.monotonic() - sent < 5  # 0.8 s where nothing else runs
        assert process.stderr.read() == b"vista: interrupted; run it again to start over\n"


def test_what_is_not_text_stays_off_the_terminal():
    primary, secondary = pty.openpty()
    args = [*VISTA, "query", "SELECT 1", "--format", "arrow"]
    done = subprocess.run(args, stdout=secondary, stderr=subprocess.PIPE, text=True, check=False)
    os.close(secondary)
    os.close(primary)
    assert done.returncode == 2
    assert "arrow cannot be shown in a terminal: add -o FILE" in done.stderr


# ── the feature store ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Return the folder of a store with two images of one CNN and one of another."""
    monkeypatch.setenv("VISTA_SQL_STORE", str(tmp_path / "store"))
    made = store.Store(str(tmp_path / "store"))
    for cnn, n in (("lenet5", 2), ("alexnet", 1)):
        facts = roster.load(cnn)
        space = store.space(facts, "random:0", facts.layers[-1].name, device="cpu")
        made.keep(store.Entry(space, store.digest(b"%d" % i), 0, 4, b"abcd") for i in range(n))
    return str(tmp_path / "store")


def test_store_shows_what_it_holds_and_where(kept):
    done = vista("store", "--format", "csv")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1:] == [
        f"alexnet,random:0,{roster.load('alexnet').layers[-1].name},none,float32,1,44",
        f"lenet5,random:0,{roster.load('lenet5').layers[-1].name},none,float32,2,88",
    ]
    assert done.stderr.startswith(f"{kept}: ")
    assert "the limit is " in done.stderr


def test_store_clear_removes_one_cnn_or_all(kept):
    assert vista("store", "clear", "--cnn", "LeNet5").stderr == f"2 entries are gone from {kept}\n"
    assert vista("store", "--format", "csv").stdout.count("\n") == 2
    assert vista("store", "clear").exit_code == 0
    assert vista("store", "--format", "csv").stdout.count("\n") == 1


def test_store_says_when_it_is_off_or_asked_wrongly(kept, monkeypatch):
    assert vista("store", "--cnn", "lenet5").exit_code == 2
    assert vista("store", "burn").exit_code == 2
    monkeypatch.setenv("VISTA_SQL_STORE", "false")
    done = vista("store")
    assert (done.exit_code, "is off" in done.stderr) == (1, True)


def test_a_full_disk_leaves_the_old_file(tmp_path):
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    done = vista("query", "FROM range(100000)", "--format", "csv", "-o", full)
    assert done.exit_code == 1
    assert done.stderr.endswith(
        "No space left on device; free some space, or name a place that has it\n"
    )


# ── help, completion ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", app.list_commands(click.Context(app)))
def test_help_has_examples(command):
    shown = vista(command, "--help")
    assert shown.exit_code == 0
    assert f"Usage: vista {command} " in shown.stdout
    assert re.search(rf"^ *Examples?:\n\n.*\bvista {command}\b", shown.stdout, re.M | re.S)
    assert max(map(len, shown.stdout.splitlines())) <= 100


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_what_follows(shell):
    script = vista("completion", shell)
    assert script.exit_code == 0
    assert f"_VISTA_COMPLETE={shell}_complete" in script.stdout
    typed = (("vista qu", "query"), ("vista layers vgg1", "vgg16"), ("vista run --se", "--select"))
    for words, found in typed:
        last = words.split()[-1] if shell == "fish" else str(words.count(" "))
        env = {"_VISTA_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": last}
        shown = CliRunner().invoke(app, prog_name="vista", env=env)
        assert re.search(rf"^(plain,)?{found}", shown.stdout, re.M), shown.output


def test_bash_completes_for_real():
    lines = "; ".join(
        (
            "shopt -s progcomp",
            f'eval "$({shlex.join(VISTA)} completion bash)"',
            "complete -p vista",
        )
    )
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, check=True)
    assert "-F _vista_completion vista" in done.stdout


# ── weights ────────────────────────────────────────────────────────────────────────────────────


def test_weights_are_listed_with_their_checksums(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    listed = {row["cnn"]: row for row in json.loads(vista("weights", "--format", "json").stdout)}
    assert listed["lenet5"]["state"] == "here"
    assert (
        listed["lenet5"]["checksum"] == f"sha256 {roster.load('lenet5').weights['bundled'].sha256}"
    )
    vgg16 = listed["vgg16"]
    assert vgg16["state"] == "not here"
    assert vgg16["url"].startswith("https://storage.googleapis.com/")
    Path(vgg16["path"]).parent.mkdir()
    Path(vgg16["path"]).write_text("half a file")
    shown = vista("weights")
    assert re.search(r"^│ vgg16 .* damaged ", shown.stdout, re.M)
    assert "downloaded when first used, or put into" in shown.stderr


def test_added_weights_are_checked_and_copied(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    content = b"weights of a network"
    known = roster.load("vgg16").weights["imagenet"]
    published = replace(known, md5=hashlib.md5(content).hexdigest())
    monkeypatch.setitem(roster.load("vgg16").weights, "imagenet", published)
    fetched = tmp_path / "download (1).h5"
    fetched.write_bytes(content)
    done = vista("weights", "add", fetched)
    place = tmp_path / "keras" / "models" / known.file
    assert (done.stdout, done.exit_code) == (f"vgg16, 'imagenet': {place}\n", 0)
    assert place.read_bytes() == content
    assert [file.name for file in place.parent.iterdir()] == [known.file]
    wrong = tmp_path / known.file
    wrong.write_bytes(b"half")
    done = vista("weights", "add", wrong)
    assert done.exit_code == 1
    assert f"which has md5 {published.md5}; this has sha256" in done.stderr
    assert place.read_bytes() == content
    other = tmp_path / "mine.h5"
    other.write_bytes(b"mine")
    assert "is not a published file that vista_sql knows" in vista("weights", "add", other).stderr
    for args in (["add"], ["remove", "x"], ["add", "gone.h5"]):
        assert vista("weights", *args).exit_code == 2


# ── places that cannot be written ──────────────────────────────────────────────────────────────


def test_a_database_that_cannot_be_written_is_read(db, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    done = vista("query", "SELECT count(*) AS n FROM photos", "--db", db)
    assert done.stdout == box("n", "int64", 3)


def test_runs_that_cannot_be_recorded_are_no_error(db, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("VISTA_SQL_HOME", str(tmp_path / "a file"))
    (tmp_path / "a file").write_text("")
    done = vista("query", FEATURES, "--db", db, "--format", "csv")
    assert (done.stdout, done.exit_code) == ("id,fc6\n0,\n1,\n2,\n", 0)
    assert "going on without a record of runs in" in caplog.text
