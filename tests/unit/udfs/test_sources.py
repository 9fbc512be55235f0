"""BLOBs, paths and URIs → bytes, or the reason why there are none."""

from __future__ import annotations

import os
import time

import pyarrow as pa
import pytest
from vista_sql.udfs.images import sources
from vista_sql.udfs.images.uris import Unreadable

from vista_sql import store


def text(value):
    return pa.scalar(value, pa.large_string())


def test_blobs_are_their_bytes_and_their_digest():
    blob = pa.scalar(b"data", pa.large_binary())
    assert bytes(sources.read(blob, "")) == b"data"
    assert sources.identity(blob, "") == store.digest(b"data")
    assert not sources.is_text(blob)
    assert sources.is_stable(sources.identity(blob, ""))


def test_files_are_identified_by_what_changes_with_their_bytes(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"data")
    before = sources.identity(text("a.png"), str(tmp_path))
    assert sources.identity(text(str(file)), "") == before
    assert sources.is_stable(before)
    old = file.stat()
    time.sleep(0.02)  # a file system's clock ticks up to 100 times a second
    file.write_bytes(b"atad")  # as many, and the old time: so do rsync and tar
    os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert file.stat().st_mtime_ns == old.st_mtime_ns
    assert sources.identity(text("a.png"), str(tmp_path)) != before
    assert not sources.is_stable(sources.identity(text("none.png"), str(tmp_path)))
    assert not sources.is_stable(sources.identity(text("memory://a.png"), ""))


def test_paths_and_file_uris_are_read(tmp_path):
    file = tmp_path / "a b#1.png"
    file.write_bytes(b"data")
    for value in ("a b#1.png", str(file), f"file://{file}", f"file://localhost{file}"):
        assert sources.read(text(value), str(tmp_path)) == b"data"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.png", "cannot open none.png: no such file"),
        ("folder", "cannot open folder: it is a folder"),
        ("pipe", "cannot open pipe: it is no regular file"),
        ("large", "cannot open large: 1073741825 bytes, the limit is 1073741824"),
        ("a\0b", r"cannot open 'a\\x00b'"),
        ("x" * 300, "file name too long"),
    ],
)
def test_what_cannot_be_read_says_why(name, said, tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(Unreadable, match=said):
        sources.read(text(name), str(tmp_path))


def test_other_schemes_are_no_local_paths():
    assert sources.local_path("s3://bucket/a.png", "/home") is None
    assert sources.local_path("a.png", "/home") == "/home/a.png"
    assert sources.local_path("/a.png", "/home") == "/a.png"
    assert sources.local_path("FILE:///a%20b.png", "/home") == "/a b.png"
