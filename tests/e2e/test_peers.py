"""benchmarks/peers: what it measures, checks and counts; with -m full, every job on little data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source import ROOT

PEERS = ROOT / "benchmarks" / "peers"
MB = 10**6
sys.path += [str(PEERS), str(PEERS.parent)]  # as `python benchmarks/peers/run.py` has them

import checked  # noqa: E402
import dirty  # noqa: E402
import environments  # noqa: E402
import jobs  # noqa: E402
from launched import launch  # noqa: E402


def launched(code, folder, **limits):
    folder.mkdir(exist_ok=True)
    return launch(
        [sys.executable, "-c", textwrap.dedent(code)],
        folder,
        dict(os.environ),
        **{"timeout_seconds": 30.0, **limits},
    )


ALLOCATE = "held = bytearray(b'x') * {} ; import time; time.sleep(.4)"


def test_a_tree_of_processes_is_measured_as_one(tmp_path):
    taken = launched(
        f"""
        import subprocess, sys
        held = bytearray(b"x") * {60 * MB}
        subprocess.run([sys.executable, "-c", "{ALLOCATE.format(80 * MB)}"], check=True)
        print("done")
        """,
        tmp_path,
    )
    assert (taken.outcome, taken.said) == ("finished", "done\n")
    assert 140 * MB < taken.peak_bytes < 260 * MB, "both at once, each a Python beside"


def test_orphans_are_ended_and_their_time_counts(tmp_path):
    spin = "import time\nbegun = time.process_time()\nwhile time.process_time() - begun < .3: pass"
    spin += "\ntime.sleep(60)"
    taken = launched(
        f"""
        import subprocess, sys, time
        left = subprocess.Popen([sys.executable, "-c", {spin!r}], start_new_session=True)
        print(left.pid)
        while sum(map(float, open(f"/proc/{{left.pid}}/stat").read().split()[13:15])) < 30:
            time.sleep(.05)
        """,
        tmp_path,
    )
    assert taken.outcome == "finished"
    assert taken.cpu_seconds > 0.3
    assert not Path(f"/proc/{taken.said.strip()}").exists()


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [
        ({"limit_bytes": 100 * MB}, "out of memory"),
        ({"timeout_seconds": 0.3}, "out of time"),
        ({"kill_after_seconds": 0.3}, "killed"),
    ],
)
def test_limits_end_a_process_and_say_which(limits, outcome, tmp_path):
    taken = launched(f"held = bytearray(b'x') * {200 * MB}\nwhile True: pass", tmp_path, **limits)
    assert taken.outcome == outcome
    assert taken.wall_seconds < 20


def test_what_fails_says_why(tmp_path):
    taken = launched("raise SystemExit('no network.xml')", tmp_path)
    assert (taken.outcome, taken.said) == ("failed", "no network.xml\n")


def test_lines_of_code_are_those_that_do_something(tmp_path):
    script = tmp_path / "script.py"
    said = ['"""What it', "", 'does."""', "", "import beside  # a comment", "# another", ""]
    said += ["def read(path):", '    """Read."""', "    return open(", "        path", "    )", ""]
    script.write_text("\n".join([*said, 'read("""a', 'b""")', ""]))
    (tmp_path / "beside.py").write_text("import network\nONE = 1\n")
    (tmp_path / "network.py").write_text("TWO = 2\n")
    assert environments.code_lines(script) == 7 + 2, "a library's part is not counted"


SIXTEEN = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)


def features_in(folder, values, files=None, **more):
    """Write a layer's features as the scripts do, and read them back."""
    folder.mkdir(exist_ok=True)
    rows = [None if one is None else list(map(float, one)) for one in values]
    files = files or [f"/where/ever/{i:02}.jpg" for i in range(len(rows))]
    columns = {"file": files, "avg_pool": pa.array(rows, pa.list_(pa.float32())), **more}
    pq.write_table(pa.table(columns), folder / "features.parquet")
    return checked.read(folder, ("avg_pool",), None)


def test_features_are_compared_by_file_and_a_wrong_one_shows(tmp_path):
    ours = features_in(tmp_path / "a", SIXTEEN)
    turned = features_in(
        tmp_path / "b", SIXTEEN[::-1] + 0.01, [f"{i:02}.jpg" for i in reversed(range(16))]
    )
    told = checked.compare_features(turned, ours, 16)
    assert told["right"]
    assert 0.001 < told["difference"] < 0.05
    swapped = features_in(tmp_path / "c", SIXTEEN[[1, 0, *range(2, 16)]])
    assert not checked.compare_features(swapped, ours, 16)["right"]
    assert not checked.compare_features(ours, ours, 17)["right"], "a row is missing"


@pytest.mark.parametrize("kind", ["list", "fixed list", "tensor"])
def test_features_are_read_in_every_form_that_tools_write(kind):
    values = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    flat = pa.array(values.ravel())
    column = {
        "list": pa.array(values.reshape(3, 4).tolist(), pa.list_(pa.float32())),
        "fixed list": pa.FixedSizeListArray.from_arrays(flat, 4),
        "tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(values),
    }[kind]
    found = checked.values_of(pa.chunked_array([column]))
    assert found.tolist() == values.reshape(3, 4).tolist()


def test_dirty_files_are_what_they_say(tmp_path):
    dirty.make(tmp_path, 2)
    photos = {path.name for path in (tmp_path / "photos").iterdir()}
    clean = {path.name.removesuffix(".png") for path in (tmp_path / "clean").iterdir()}
    assert (len(photos), len(clean)) == (20 * 2, dirty.KINDS * 2)
    assert {name.rpartition("-")[0] for name in photos - clean} == set(dirty.NO_PICTURES)


def test_dirty_files_are_told_apart(tmp_path):
    clean = features_in(tmp_path / "clean", SIXTEEN, [f"{i}.jpg.png" for i in range(16)])
    values = [*SIXTEEN[:14] + 0.01, SIXTEEN[3], None, SIXTEEN[0], None]
    files = [*(f"{i}.jpg" for i in range(16)), "text.jpg", "half.jpg"]
    errors = [None] * 17 + ["truncated"]
    found = features_in(tmp_path / "found", values, files, error=pa.array(errors))
    told = checked.compare_dirty(found, clean)
    assert {name: told[name] for name in ("kept", "wrong", "junk", "reasons", "rows")} == {
        "kept": 14, "wrong": 1, "junk": 1, "reasons": 1, "rows": 18,
    }  # fmt: skip
    assert not told["right"]


@pytest.mark.parametrize(("n_rows", "right"), [(40, True), (4000, False)])
def test_scores_may_differ_by_what_their_rows_allow(n_rows, right, tmp_path):
    (tmp_path / "scores.json").write_text('{"fc6": 0.7, "fc7": 0.9}')
    told = checked.compare_scores(tmp_path, {"fc6": 0.9, "fc7": 0.9}, n_rows)
    assert (told["difference"], told["right"]) == (0.2, right)
    assert not checked.compare_scores(tmp_path, {"fc6": 0.7}, n_rows)["right"]


@pytest.mark.parametrize("job", jobs.JOBS.values(), ids=lambda job: job.name)
def test_every_peer_does_a_job_or_says_why_not(job):
    named = {name.partition("-")[0] for name in job.scripts} | set(job.absent)
    assert named == set(environments.PEERS)
    assert not set(job.scripts) & set(job.absent)
    for name, script in job.scripts.items():
        folder = environments.PEERS[name.partition("-")[0]].folder
        assert (environments.SCRIPTS / folder / script).is_file()


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_every_job_runs_on_little_data(tmp_path):
    figures = tmp_path / "figures.json"
    command = [sys.executable, PEERS / "run.py", "all", "--smoke", "--json", figures]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(figures.read_text())
    assert [one["job"] for one in told] == list(jobs.JOBS)
    for one in told:
        for run in one["runs"]:
            if run["peer"] == "vista":
                assert run["checks"], (one["job"], run)
                assert all(check.get("right", True) for check in run["checks"].values()), run
