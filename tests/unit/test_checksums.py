"""Checksums of large files are kept, and believed only as long as the file is the same."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from vista_sql.weights import checksums
from vista_sql.weights.checksums import Digests

LONG_AGO = 10**18


@pytest.fixture
def reads(tmp_path, monkeypatch):
    """The files that were read, in order; small files and new ones count as all others do."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(checksums, "KEPT_FROM_BYTES", 1)
    monkeypatch.setattr(checksums, "SETTLED_SECONDS", -60)  # the time of a change cannot be set
    found = []
    read = checksums.read_digests

    def noted(path):
        found.append(path)
        return read(path)

    monkeypatch.setattr(checksums, "read_digests", noted)
    return found


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "w.h5"
    path.write_bytes(b"one")
    return path


def of(data):
    return Digests(hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest())


def anew(path):
    """Return what a process finds that was just started."""
    checksums._known.cache_clear()
    return checksums.digests(path)


def test_a_file_is_read_once_by_all_processes(reads, weights):
    assert anew(weights) == anew(weights) == anew(weights) == of(b"one")
    assert len(reads) == 1


def test_another_file_of_the_same_size_and_time_is_read(reads, weights):
    os.utime(weights, ns=(LONG_AGO, LONG_AGO))
    assert anew(weights) == of(b"one")
    weights.write_bytes(b"two")
    os.utime(weights, ns=(LONG_AGO, LONG_AGO))
    assert anew(weights) == of(b"two")
    other = weights.with_name("other")
    other.write_bytes(b"six")
    os.utime(other, ns=(LONG_AGO, LONG_AGO))
    other.replace(weights)
    assert anew(weights) == of(b"six")


def test_a_file_that_just_changed_is_not_trusted(reads, weights, monkeypatch):
    monkeypatch.setattr(checksums, "SETTLED_SECONDS", 60)
    assert anew(weights) == anew(weights)
    assert len(reads) == 2


def test_small_files_are_not_kept(reads, weights, monkeypatch, tmp_path):
    monkeypatch.setattr(checksums, "KEPT_FROM_BYTES", 4)
    anew(weights)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 1, "files": []}',
        '{"version": 1, "files": {"PATH": null}}',
        '{"version": 1, "files": {"PATH": {"seen": [1], "sha256": "ab", "md5": ""}}}',
        '{"version": 1, "files": {"PATH": {"seen": SEEN, "sha256": 7, "md5": 8}}}',
        '{"version": 1, "files": {"PATH": {"seen": SEEN, "sha256": "zz", "md5": "zz"}}}',
        '{"version": 2, "files": {"PATH": {"seen": SEEN, "sha256": "SHA", "md5": "MD5"}}}',
    ],
)
def test_a_damaged_record_is_made_anew(reads, weights, tmp_path, damage):
    anew(weights)
    kept = tmp_path / "cache" / "vista_sql" / "checksums.json"
    record = json.loads(kept.read_text())["files"][str(weights)]
    text = damage.replace("PATH", str(weights)).replace("SEEN", str(record["seen"]))
    kept.write_text(text.replace("SHA", "0" * 64).replace("MD5", "0" * 32))
    assert anew(weights) == anew(weights) == of(b"one")
    assert len(reads) == 2
    assert [file.name for file in kept.parent.iterdir()] == ["checksums.json"]


def test_files_that_went_are_forgotten_and_there_is_a_limit(reads, tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "MOST_FILES", 2)
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.write_text(file.name)
        anew(file)
    for file in files[1:]:
        anew(file)
    assert len(reads) == 3
    files[1].unlink()
    anew(files[0])
    kept = json.loads((tmp_path / "cache" / "vista_sql" / "checksums.json").read_text())
    assert sorted(kept["files"]) == [str(files[0]), str(files[2])]


def test_a_cache_that_cannot_be_written_costs_only_time(reads, weights, tmp_path):
    (tmp_path / "cache").write_text("no folder")
    assert anew(weights) == anew(weights) == of(b"one")
    assert len(reads) == 2
