"""BLOBs, paths and URIs → bytes, or the reason why there are none."""

from __future__ import annotations

import os
import time

import cv2
import numpy as np
import pyarrow as pa
import pytest
from vista_sql.udfs.images import paths, sources
from vista_sql.udfs.images.paths import Unreadable

from vista_sql import store


def text(value):
    return pa.scalar(value, pa.large_string())


def test_blobs_are_their_bytes_and_their_digest():
    png = cv2.imencode(".png", np.zeros((2, 2), np.uint8))[1].tobytes()
    blob = pa.scalar(png, pa.large_binary())
    assert bytes(sources.read(blob, "")) == png
    assert sources.identity(blob, "") == store.digest(png)  # as ever
    refused = pa.scalar(b"P7\nWIDTH 1\n", pa.large_binary())
    assert sources.identity(refused, "") != store.digest(refused.as_buffer())  # as never before
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
        ("a\0b", r"cannot open a\\x00b: (stat: )?embedded null (byte|character)"),
        ("/dev/zero", "it is no regular file"),
        ("local:///dev/zero", "it is no regular file"),
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
    assert paths.local_path("s3://bucket/a.png", "/home") is None
    assert paths.local_path("a.png", "/home") == "/home/a.png"
    assert paths.local_path("/a.png", "/home") == "/a.png"
    assert paths.local_path("FILE:///a%20b.png", "/home") == "/a b.png"


def test_a_file_that_is_overwritten_with_its_old_size_and_time_is_another(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"data")
    before = sources.identity(text(str(file)), "")
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    time.sleep(0.02)  # the clock of a file system is coarse
    file.write_bytes(b"DATA")
    os.utime(file, ns=times)
    assert sources.identity(text(str(file)), "") != before


def test_a_reason_shows_a_part_of_a_long_value_on_one_line(tmp_path):
    for value in ("iVBORw0KGgo" * 500, "a\nb\r\x1b[31m" * 100, "é" * 4000, "\u202e" * 300):
        with pytest.raises(Unreadable) as raised:
            sources.read(text(value), str(tmp_path))
        reason = str(raised.value)
        assert len(reason) <= 200
        assert reason.isprintable()
        assert reason.startswith("cannot open ")


def test_a_large_file_that_begins_as_no_image_is_read_no_further(tmp_path, monkeypatch):
    (tmp_path / "large").write_bytes(bytes(4000))
    monkeypatch.setattr(paths, "LOOKED_AT_BYTES", 1000)
    with pytest.raises(Unreadable, match="large: it begins as no image"):
        sources.read(text("large"), str(tmp_path))
    (tmp_path / "large").write_bytes(b"GIF89a" + bytes(4000))
    assert len(sources.read(text("large"), str(tmp_path))) == 4006


def test_paths_can_be_left_out_of_what_may_be_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"data")
    with pytest.raises(Unreadable, match="file is none of the schemes that may be read"):
        sources.read(text("a.png"), str(tmp_path), "https")
