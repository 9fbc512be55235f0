"""Faults of a real cluster (`local-cluster`, executors in processes of their own): what rows cost.

Each test starts a cluster, or a session, in a process of its own (clusters_at_fault.py).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import venv

import clusters_at_fault
import pytest

pytest.importorskip("pyspark")
pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java")

TWO = "local-cluster[2,1,2048]"
N = clusters_at_fault.N_IMAGES


def found(folder, *words, **environment):
    """Run scenarios and return what each printed."""
    done = subprocess.run(
        [sys.executable, clusters_at_fault.__file__, *words],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=600,
        env={**os.environ, "VISTA_SQL_STORE": "false", "PYTHONWARNINGS": "ignore", **environment},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"scenario"')]
    assert lines, done.stderr[-3000:]
    return {line["scenario"]: line for line in map(json.loads, lines)}


@pytest.mark.full
def test_an_executor_killed_in_mid_stage_costs_no_row(tmp_path):
    told = found(tmp_path, TWO, "executor_killed", "undisturbed", "paths")
    killed, whole = told["executor_killed"], told["undisturbed"]
    assert killed["struck"]
    assert (killed["n"], killed["keys"]) == (N, N)
    assert killed["rows"] == whole["rows"]
    drivers, relative, absolute = told["paths"]["rows"]
    assert drivers[:2] == [1, None]
    assert drivers[2] == (
        "cannot open /proc/self/cwd/a.png: no such file on the executor " + socket.gethostname()
    )
    assert (relative, absolute) == ([2, 84, None], [3, 84, None])


@pytest.mark.full
def test_workers_that_are_killed_are_started_again_or_told_of(tmp_path):
    told = found(
        tmp_path,
        TWO,
        *("undisturbed", "worker_killed", "workers_killed_always", "writing_killed_always"),
        *("undisturbed", "skewed", "broken"),
    )
    once = told["worker_killed"]
    assert once["struck"]
    assert once["rows"] == told["undisturbed"]["rows"], "and the session is well afterwards"
    for name in ("workers_killed_always", "writing_killed_always"):
        always = told[name]
        assert (always["kind"], always["struck"]) == ("HostError", True), always
        assert always["error"].startswith("a Python worker of Spark was killed, as systems do")
        assert "batch_rows => 8" in always["error"]
        assert "spark.executor.memoryOverhead" in always["error"]
        assert "\n" not in always["error"]
    skewed = told["skewed"]
    assert (sum(skewed["sizes"]), skewed["n"], skewed["same"]) == (400, 400, True)
    assert max(skewed["sizes"]) <= 2 * min(skewed["sizes"]), "no task has most of the rows"
    assert "(4, None, 'not an image (6 bytes)')" in told["broken"]["rows"]


@pytest.mark.full
def test_a_worker_that_finds_no_memory_says_what_to_change(tmp_path):
    told = found(tmp_path, TWO, "spark.executor.pyspark.memory=2g", "memory")["memory"]
    assert told["kind"] == "HostError", told
    assert "batch_rows => 8" in told["error"]
    assert "spark.executor.pyspark.memory" in told["error"]


# ── what executors lack ─────────────────────────────────────────────────────────────────────────


def wrapped(folder, name, code):
    """Return a Python that runs code before anything else."""
    site = folder / name
    site.mkdir()
    (site / "sitecustomize.py").write_text(code)
    script = folder / f"{name}.sh"
    script.write_text(
        f'#!/bin/sh\nexport PYTHONPATH="{site}:$PYTHONPATH"\nexec {sys.executable} "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "vista_sql":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""
OLDER = """
import collections, sys
Version = collections.namedtuple("Version", "major minor micro releaselevel serial")
sys.version_info = Version(3, 10, 0, "final", 0)
"""


@pytest.mark.full
def test_a_worker_without_the_package_says_what_to_install_where(tmp_path):
    python = wrapped(tmp_path, "absent", ABSENT)
    told = found(tmp_path, "local[1]", "undisturbed", PYSPARK_PYTHON=python)["undisturbed"]
    assert told["error"].startswith("a Python worker of Spark cannot import 'vista_sql")
    assert "install vista-sql" in told["error"]
    assert sys.executable in told["error"]


@pytest.mark.full
def test_a_bare_python_says_what_it_lacks(tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    python = str(tmp_path / "bare" / "bin" / "python")
    told = found(tmp_path, "local[1]", "undisturbed", PYSPARK_PYTHON=python)["undisturbed"]
    assert "a Python worker of Spark cannot import 'pyarrow'" in told["error"]
    assert "PYSPARK_PYTHON" in told["error"]


@pytest.mark.full
def test_another_minor_version_of_python_is_told_of(tmp_path):
    python = wrapped(tmp_path, "older", OLDER)
    told = found(tmp_path, "local[1]", "undisturbed", PYSPARK_PYTHON=python)["undisturbed"]
    assert told["error"].startswith("the executors run Python 3.10 and this is Python ")
