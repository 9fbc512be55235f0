"""Records of runs: what is written when, what is read back, and how many there may be."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vista_sql import catalog, kernels, runs
from vista_sql.kernels import WALL, WORK
from vista_sql.runs import Estimate, Runs


@dataclass
class Kernels:
    """Counts by run, as the kernels keep them."""

    counts: dict[str, object] = field(default_factory=dict)

    def counters(self, run):
        return self.counts.setdefault(run, counts())

    def forget(self, run):
        del self.counts[run]


def counts(n_rows=0, n_images=0, reasons=()):
    counts = catalog.module(kernels.PACKAGE, "passes.counts")
    tally = counts.Tally(n_rows, n_images, len(reasons), list(reasons))
    return counts.RunCounts(images_inferred=n_images, tallies={0: tally})


def records(home):
    return sorted(path.name for path in Path(home, runs.FOLDER).glob("*"))


def test_a_closed_run_is_read_back(tmp_path):
    journal = Runs(str(tmp_path))
    run_id = journal.open("SELECT 1")
    assert records(tmp_path) == []
    done = counts(12, 11, [("4", "not an image")])
    done.decode_seconds = 1.23456
    done.clock.prep_stall_seconds = 0.5
    journal.close(run_id, "fused/after", done, Estimate(1 << 30, 9, "the plan"))
    (run,) = runs.read(str(tmp_path))
    assert (run.run_id, run.statement, run.plan) == (run_id, "SELECT 1", "fused/after")
    assert (run.rows, run.images, run.images_inferred, run.errors) == (12, 11, 11, 1)
    assert run.reasons == [("4", "not an image")]
    assert run.estimate == Estimate(1 << 30, 9, "the plan")
    assert run.seconds is not None
    assert run.seconds >= 0
    assert run.peak_bytes > 0
    assert set(run.wall) == {timer.name for timer in WALL}
    assert set(run.work) == {timer.name for timer in WORK}
    assert (run.work["decode"], run.wall["prep_stall"]) == (1.2346, 0.5)
    journal.close(run_id, "again", counts(99))
    assert [run.plan for run in runs.read(str(tmp_path))] == ["fused/after"]


def test_open_runs_are_written_whenever_they_read_rows(tmp_path):
    journal, told = Runs(str(tmp_path)), Kernels()
    silent, read = journal.open("SELECT 1", "lazy/after"), journal.open("SELECT 2", "fused/after")
    told.counts[read] = counts(3, 2)
    journal.flush(told)
    (run,) = runs.read(str(tmp_path))
    assert (run.run_id, run.plan, run.rows, run.seconds) == (read, "fused/after", 3, None)
    Path(tmp_path, runs.FOLDER, f"{read}.json").unlink()
    journal.flush(told)
    assert records(tmp_path) == []  # nothing new
    told.counts[read], told.counts[silent] = counts(5), counts(1)
    journal.flush(told)
    assert [run.rows for run in runs.read(str(tmp_path))] == [5, 1]  # the newest first


def test_only_the_newest_runs_are_watched(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "MOST_OPEN", 2)
    journal, told = Runs(str(tmp_path)), Kernels()
    opened = [journal.open(f"SELECT {n}") for n in range(3)]
    journal.flush(told)
    assert sorted(told.counts) == opened[1:]
    told.counts[opened[0]] = counts(1)
    journal.flush(told)
    assert records(tmp_path) == []


def test_the_oldest_records_go(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "MOST_RUNS", 3)
    journal = Runs(str(tmp_path))
    for n in range(5):
        journal.close(journal.open(f"SELECT {n}"), "", counts(n))
    assert [run.statement for run in runs.read(str(tmp_path))] == [
        "SELECT 4",
        "SELECT 3",
        "SELECT 2",
    ]


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"run_id": "x"}', '{"reasons": [1]}'])
def test_a_damaged_record_is_passed_over(tmp_path, damaged):
    journal = Runs(str(tmp_path))
    journal.close(journal.open("SELECT 1"), "", counts(1))
    Path(tmp_path, runs.FOLDER, "20260101T000000.json").write_text(damaged)
    assert [run.statement for run in runs.read(str(tmp_path))] == ["SELECT 1"]


def test_a_record_from_before_there_were_estimates_and_seconds_is_read(tmp_path):
    folder = Path(tmp_path, runs.FOLDER)
    folder.mkdir()
    record = {"run_id": "r", "started": "s", "statement": "SELECT 1", "plan": "", "reasons": []}
    (folder / "r.json").write_text(json.dumps(record))
    (run,) = runs.read(str(tmp_path))
    assert (run.wall, run.work, run.estimate) == ({}, {}, None)


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path, caplog):
    (tmp_path / "home").write_text("a file")
    journal = Runs(str(tmp_path / "home"))
    with caplog.at_level(logging.WARNING, "vista_sql"):
        for n in range(2):
            journal.close(journal.open(f"SELECT {n}"), "", counts(1))
    assert [record.getMessage().partition(" in ")[0] for record in caplog.records] == [
        "going on without a record of runs"
    ]
