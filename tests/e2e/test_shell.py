"""The extension in real shells: it loads, users get in, rows and errors come through unharmed."""

# ruff: noqa: E501 - a statement is a line

from __future__ import annotations

import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import cv2
import duckdb
import foods
import numpy as np
import pyarrow as pa
import pytest
import shells as of_shells
from duckdb import func

import vista_sql
from vista_sql.hosts.shell import binary, build, places, server
from vista_sql.machine.resources import own_version

A = "cnn => 'lenet5', layers => ['f6']"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("shell") / "foods.duckdb"
    with vista_sql.connect(path) as db:
        foods.fill(db.con)
    return path


# ── loading ─────────────────────────────────────────────────────────────────────────────────────


def test_the_build_is_reproducible(tmp_path):
    first, second = build.built(tmp_path / "a"), build.built(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 100_000
    for folder in (b"/tmp/", str(Path.home()).encode(), str(tmp_path).encode()):
        assert folder not in first.read_bytes().replace(b"/tmp/vista_sql-%u", b"")


def test_no_compiler_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(vista_sql.VistaError, match="there is no C compiler"):
        build.built(tmp_path / "a")


def test_a_compiler_that_refuses_is_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "false")
    with pytest.raises(vista_sql.VistaError, match="the C compiler refused the extension"):
        build.built(tmp_path / "a")


def test_it_loads_in_python(shell):
    script = (
        "import duckdb\n"
        "with duckdb.connect(config={'allow_unsigned_extensions': True}) as con:\n"
        f"    for text in duckdb.extract_statements(open({str(shell.init)!r}).read()):\n"
        "        con.execute(text)\n"
        "    print(con.execute('SELECT count(*) FROM VISTA_CNNS()').fetchall())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=shell.environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.stdout.startswith("[("), done.stderr


@pytest.mark.full
@pytest.mark.parametrize("release", ["1.4.4", "1.5.0", "1.5.2", "1.5.4", "1.5.5", "1.5.6"])
def test_it_loads_in_every_shell_of_the_registry(release, shell, database, tmp_path):
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path)]
    subprocess.run([*pip, f"duckdb-cli=={release}"], check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    found = next(p for p in tmp_path.rglob("duckdb") if p.read_bytes()[:4] == b"\x7fELF")
    found.chmod(0o755)
    other = of_shells.Shells(shell.folder, binary=found)
    text = f"SELECT name, f6[84]::DOUBLE AS last FROM TRANSFER({A}, structured => 'foods') ORDER BY ALL;"
    assert binary.version(found) == tuple(map(int, release.split(".")))
    assert other.rows(text, database, "-readonly") == shell.rows(text, database, "-readonly")


# ── ways in ─────────────────────────────────────────────────────────────────────────────────────


def test_vista_shell(shell, database):
    done = shell.vista(
        "shell", database, "-readonly", "-csv", "-noheader", "-c", f"SELECT id FROM TRANSFER({A}, structured => 'foods') WHERE price < 2 ORDER BY 1"
    )  # fmt: skip
    assert done.stdout.split() == ["0", "5"]
    assert shell.vista("shell", "-csv", "-noheader", "-c", "SELECT 7").stdout.split() == ["7"]


def test_vista_shell_refuses_a_file_that_is_too_new(shell, tmp_path):
    path = tmp_path / "new.duckdb"
    with duckdb.connect() as con:
        con.execute(
            f"ATTACH '{path}' AS made (STORAGE_VERSION 'latest'); CREATE TABLE made.t (a INT)"
        )
    done = subprocess.run(
        [sys.executable, "-m", "vista_sql", "shell", str(path)],
        env=shell.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "(STORAGE_VERSION 'v1.4.0'); COPY FROM DATABASE a TO b" in done.stderr


def test_files_that_python_makes_open_in_the_shell(shell, tmp_path):
    for name in ("a.duckdb", "it's.duckdb"):
        with vista_sql.connect(tmp_path / name) as db:
            db.query("CREATE TABLE t AS SELECT [1.5, 2]::FLOAT[2] AS f").arrow()
        assert shell.rows("SELECT f[1] AS one FROM t", tmp_path / name) == [{"one": 1.5}]
        with duckdb.connect(str(tmp_path / name)) as con:  # no other configuration than a user's
            con.execute("INSERT INTO t VALUES ([3, 4])")
        assert len(shell.rows("SELECT f[1] AS one FROM t", tmp_path / name)) == 2


def test_the_line_in_duckdbrc(shell):
    resource = shell.folder / ".duckdbrc"
    resource.write_text(".timer off")
    asked = subprocess.run(
        [sys.executable, "-m", "vista_sql", "extension", "install"],
        env=shell.environment, input="n\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ".read '" in asked.stderr
    assert resource.read_text() == ".timer off"
    try:
        shell.vista("extension", "install", "--yes")
        assert "has it already" in shell.vista("extension", "install").stderr
        assert len(resource.read_text().splitlines()) == 2
        for arguments, text, rows in (
            (["-unsigned"], "SELECT count(*) > 9 AS many FROM VISTA_CNNS()", [{"many": True}]),
            ([], "SELECT 42 AS a", [{"a": 42}]),  # where it cannot be loaded it is not
        ):
            done = subprocess.run(
                [str(shell.binary), *arguments, "-json"],
                env=shell.environment, input=text, capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert list(of_shells.documents(done.stdout)) == rows
    finally:
        resource.unlink()


# ── what comes through ──────────────────────────────────────────────────────────────────────────


def test_errors_have_their_own_text(shell, database):
    for sql, said in (
        ("FROM TRANSFER(cnn => 'resnet5')", "unknown cnn 'resnet5'; did you mean 'resnet50'?"),
        ("FROM TRANSFER(cnn => 'lenet5', layers => ['f66'])", "did you mean 'f6'?"),
        ("FROM TRANSFER(cnn => 'lenet5', nosuch => 1)", "nosuch"),
        (f"SELECT f6 FROM TRANSFER({A}, on_error => 'raise')", "image of key '4' cannot be read: not an image"),
        (f"SELECT * FROM TRANSFER({A}, images => '(SELECT id, image, 1 AS error FROM images)')", "TRANSFER adds a column 'error'"),
        ("FROM VISTA_TRAIN(model => 'm', label => 'nosuch', data => 'foods')", "unknown label column 'nosuch'"),
        ("FROM VISTA_TRAIN(model => 'm', label => 'id', data => '(SELECT * FROM TRANSFER(cnn => ''x''))')", "unknown cnn 'x'"),
        ("SET VARIABLE vista_threads = 'many'; FROM TRANSFER(cnn => 'lenet5')", "threads must be a whole number of at least 1, not 'many' (from SET VARIABLE"),
        ("WITH t AS (SELECT id, image AS pixels FROM images) SELECT fc6 FROM TRANSFER(cnn => 'lenet5', images => 't')", "give image => 'pixels'"),
    ):  # fmt: skip
        assert said in shell.error(f"{sql};", database, "-readonly"), sql


def test_the_shell_tells_the_columns_of_tables_that_only_it_sees(shell, database):
    made = "TABLE t AS SELECT id, image AS pixels FROM images WHERE id = 1;"
    asked = "FROM TRANSFER(cnn => 'lenet5', layers => ['f6'], images => 't') SELECT columns(* EXCLUDE f6);"
    for sql in (f"CREATE TEMP {made} {asked}", f"BEGIN; CREATE {made} {asked} ROLLBACK;"):
        assert shell.rows(f"SET VARIABLE vista_threads = 1; {sql}", database) == [
            {"id": 1, "error": None}
        ]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras saving a network
def test_settings_and_paths_are_the_shells_own(shell, database, tmp_path):
    from vista_sql.udfs.network import keras_reader

    keras = keras_reader.keras()
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3), keras.layers.Flatten(name="top")]
    keras.Sequential(layers).save(tmp_path / "own.keras")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").write_bytes(foods.picture(1))
    images = "images => '(SELECT 1 AS id, ''sub/a.png'' AS image)'"
    assert shell.rows(
        f"SELECT count(f6) AS n FROM TRANSFER({A}, {images});"
        f"SELECT count(top) AS n FROM TRANSFER(cnn => 'own.keras', layers => ['top'], {images});",
        cwd=tmp_path,
    ) == [{"n": 1}, {"n": 1}]
    other = of_shells.Shells(
        shell.folder, more={"VISTA_SQL_HOME": "here", "VISTA_SQL_PLAN": "nosuch"}
    )
    assert other.rows("SELECT vista_home() AS home;", cwd=tmp_path) == [
        {"home": str(tmp_path / "here")}
    ]
    assert "unknown plan 'nosuch'" in other.error(f"FROM TRANSFER({A}, {images});", cwd=tmp_path)
    assert shell.rows("SELECT vista_home() AS home;", database) == [{"home": f"{database}.vista"}]


# ── columns ─────────────────────────────────────────────────────────────────────────────────────

ROWS = """
CREATE TABLE t AS SELECT i AS id, i % 3 = 0 AS b, (i % 50 * 1.25)::DECIMAL(4, 2) AS d4, (i * 1.25)::DECIMAL(9, 2) AS d9,
  -(i * 1.25)::DECIMAL(18, 2) AS d18, -(i * 1.25)::DECIMAL(38, 2) AS d38, i::HUGEINT * -1 AS h,
  CASE WHEN i % 4 <> 1 THEN 'a text longer than twelve bytes ' || i END AS s, ('b' || i)::BLOB AS bl, CASE WHEN i % 99 = 1 THEN repeat('x', 20000) END AS big,
  DATE '2024-01-01' + i::INT AS dt, TIMESTAMP '2024-01-01 00:00:01' + to_hours(i::INT) AS ts, TIME '12:00:01' AS tm,
  INTERVAL 3 MONTH + INTERVAL 2 DAY AS iv, UUID 'eb4fcd9c-6f6b-4b1e-9d9b-0123456789ab' AS u,
  (CASE WHEN i % 2 = 0 THEN 'x' ELSE 'yy' END)::ENUM('x', 'yy') AS e, [i, NULL, i + 1] AS l,
  (CASE WHEN i = 2 THEN NULL ELSE [i + 0.5, 2] END)::FLOAT[2] AS a, {'a': i, 'b': 'z' || i, 'c': {'d': [i]}} AS st,
  map(['i', 'k' || i], [1, NULL]) AS m, 1.5::DOUBLE AS d, 2.5::FLOAT AS f, (i % 200)::UTINYINT AS ut, (-(i % 100))::TINYINT AS ti,
  i::USMALLINT AS us, i::UINTEGER AS ui, i::UBIGINT AS ub, [[i], [], NULL] AS ll, NULL AS n,
  TIMESTAMP_S '2024-01-01 00:00:00' AS t0, TIMESTAMP_MS '2024-01-01 00:00:00' AS t3, TIMESTAMP_NS '2024-01-01 00:00:00' AS t9
FROM range(2500) AS r(i)
"""
ASKED = (
    "SELECT vista_error('s', t) AS x FROM t WHERE id % 7 = 1",
    "SELECT vista_error('s', t, 1, NULL) AS x FROM t LIMIT 3000",
    "SELECT vista_error('s', {'k': 7, 'id': id, 's': s, 'l': l, 'n': NULL}) AS x FROM t WHERE id > 2490",
    "SELECT vista_error('s', x) AS x FROM (SELECT t.*, 'constant' AS c, [1, 2] AS c2, {'a': 1} AS c3 FROM t LIMIT 2) AS x",
    "SELECT vista_error('s', x) AS x FROM (SELECT a.id, a.l, b.s, b.l AS l2, b.st, b.m, b.a AS a2 FROM t AS a LEFT JOIN t AS b ON a.id = b.id + 2495) AS x ORDER BY id",
    "SELECT vista_error('s', x) AS x FROM (SELECT id, unnest(l) AS u, s FROM t) AS x WHERE u > 2490",
    "SELECT vista_error('s', x) AS x FROM (SELECT id % 3 AS g, list(s ORDER BY id) AS u, list(l ORDER BY id) AS v FROM t WHERE id < 50 GROUP BY 1 ORDER BY 1) AS x",
    "SELECT vista_error('s', [1, 2, 3], {'a': 4}, NULL, ''::BLOB) AS x",
    "SELECT vista_error('s') AS x FROM t LIMIT 3",
)


def echoed(*columns):
    """Return each row as text."""
    arrays = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns[1:]]
    return pa.array(
        [repr(tuple(_hashable(a[i].as_py()) for a in arrays)) for i in range(len(columns[0]))]
    )


def _hashable(value):
    return {k: _hashable(v) for k, v in value.items()} if isinstance(value, dict) else value


class Echo:
    """A worker that tells what it was sent."""

    def call(self, request):
        assert all(len(column) == request.rows for column in request.columns)
        for column in request.columns:
            column.validate(full=True)
        text = echoed(*request.columns).cast(pa.large_string())
        return text, text.type

    def close(self):
        pass


def test_columns_arrive_as_python_gets_them_from_duckdb(shell, monkeypatch):
    """What the worker's kernels see is what DuckDB itself hands to kernels in Python."""
    with duckdb.connect() as con:
        con.create_function("vista_error", echoed, None, "VARCHAR", type=func.ARROW, null_handling=func.SPECIAL, side_effects=True)  # fmt: skip
        con.execute(ROWS)
        expected = [row[0] for text in ASKED for row in con.execute(text).fetchall()]
    (shell.folder / "echo").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shell.folder / "echo"))
    other = of_shells.Shells(shell.folder, more={"XDG_RUNTIME_DIR": str(shell.folder / "echo")})
    serving = server.Server(places.socket_path(), lambda *_: Echo(), own_version(), 1000)
    thread = threading.Thread(target=serving.serve)
    thread.start()
    try:
        found = [row["x"] for row in other.rows(";".join([ROWS, *ASKED, ""]))]
    finally:
        serving.stop()
        thread.join()
    assert len(found) == len(expected)
    for here, there in zip(found, expected, strict=True):
        assert here == there


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_three_gigabytes_of_features_through_one_statement(shell, tmp_path):
    """8,192 rows of 100,352 floats each, 3.3 GB: what a chunk holds is let go before the next."""
    from vista_sql.hosts.duckdb.database import create_file

    path, n_rows, n_values = tmp_path / "wide.duckdb", 8192, 7 * 7 * 2048
    create_file(str(path), {})
    with duckdb.connect(str(path)) as con:
        foods.fill(con)
        con.execute(
            "CREATE TABLE many AS SELECT range AS id, image FROM range(?), "
            "(SELECT id AS shown, image FROM images WHERE id < 4) WHERE shown = range % 4",
            [n_rows],
        )
    text = (
        "SELECT count(*) AS n, sum(len(conv5_3))::BIGINT AS n_values, "
        f"sum(conv5_3[1]::DOUBLE) AS first, sum(conv5_3[{n_values}]::DOUBLE) AS last "
        "FROM TRANSFER(cnn => 'resnet50', layers => ['conv5_3'], images => 'many', "
        "weights => 'random', pool => 'none', batch_rows => 4)"
    )
    (row,) = shell.rows(f"SET threads = 1; {text};", path)
    assert (row["n"], row["n_values"]) == (n_rows, n_rows * n_values)
    with vista_sql.connect(path) as db:
        one = text.replace("'many'", "'(SELECT * FROM many WHERE id < 4)'")
        ((_, _, first, last),) = db.query(one).fetchall()
    assert row["first"] == pytest.approx(first * n_rows / 4)
    assert row["last"] == pytest.approx(last * n_rows / 4)


def test_each_shell_has_its_own_schemes(shell, tmp_path):
    image = np.random.default_rng(3).integers(0, 256, (16, 16), np.uint8)
    (tmp_path / "0.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    sql = """SELECT fc6 IS NULL AS nothing, error FROM TRANSFER(cnn => 'lenet5', layers => ['fc6'],
             images => '(SELECT 0 AS id, ''0.png'' AS path)');"""
    other = of_shells.Shells(tmp_path, shell.binary, {"VISTA_SQL_SCHEMES": "https"})
    reader = of_shells.Shells(tmp_path, shell.binary)
    refused = [
        {
            "nothing": True,
            "error": "cannot open 0.png: file is none of the schemes that may be read (schemes)",
        }
    ]
    try:
        assert other.rows(sql, cwd=tmp_path) == refused  # and starts the worker
        assert reader.rows(sql, cwd=tmp_path) == [{"nothing": False, "error": None}]
        assert other.rows(sql, cwd=tmp_path) == refused
    finally:
        reader.vista("worker", "--stop")
