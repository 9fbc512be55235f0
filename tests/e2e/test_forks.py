"""A process that is forked after first use: it works, or says in one sentence why it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parents[1])

SCRIPT = """
import json, multiprocessing, sys
sys.path.insert(0, sys.argv[1])
import foods, vista_sql
HOG = "SELECT hog FROM TRANSFER(cnn => 'hog')"
NETWORK = "SELECT fc6 FROM TRANSFER(cnn => 'lenet5')"
db = foods.connect()
vista_sql.attach(db.con)
db.query(HOG).arrow(), db.query(NETWORK).arrow(), vista_sql.query("SELECT 1").arrow()

def child(asked, said):
    try:
        said.put(str(eval(asked)))
    except Exception as error:
        said.put(f"{type(error).__name__}: {error}")

found = []
for asked in json.loads(sys.argv[2]):
    fork = multiprocessing.get_context("fork")
    said = fork.Queue()
    process = fork.Process(target=child, args=(asked, said), daemon=True)
    process.start()
    found.append(said.get(timeout=60))
    process.join(60)
print(json.dumps(found))
"""

OTHER = "HostError: the connection was opened in process "
SAID = {
    "len(foods.connect().query(HOG).arrow())": "12",
    "vista_sql.query('SELECT 42').fetchall()": "[(42,)]",
    "db.query(HOG).arrow()": OTHER,
    "vista_sql.query(HOG, db.con)": OTHER,
    "db.explain(HOG)": OTHER,
    "db.con.sql(HOG).fetchall()": OTHER,
    "foods.connect().query(NETWORK).arrow()": "was loaded before this process was forked",
}


@pytest.mark.parametrize(
    ("store", "engine"),
    [pytest.param("false", "tensorflow", marks=pytest.mark.full), ("kept", "openvino")],
)
def test_a_forked_process(store, engine, tmp_path, monkeypatch):
    monkeypatch.setenv("VISTA_SQL_ENGINE", engine)
    monkeypatch.setenv("VISTA_SQL_STORE", store if store == "false" else str(tmp_path / store))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, HERE, json.dumps([*SAID])],
        capture_output=True, text=True, cwd=tmp_path, timeout=150, check=True,
    )  # fmt: skip
    said = json.loads(done.stdout.splitlines()[-1])
    for (asked, says), found in zip(SAID.items(), said, strict=True):
        assert says in found, (asked, found)
