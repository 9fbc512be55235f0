"""URIs and members of archives → bytes, or the reason why there are none."""

from __future__ import annotations

import os
import time
import zipfile

import fsspec
import pytest
from vista_sql.udfs.images import uris
from vista_sql.udfs.images.uris import Unreadable


@pytest.fixture
def archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("in/1.png", b"one")
    return tmp_path / "a.zip"


def test_schemes_and_members_are_read(archive, tmp_path):
    fsspec.filesystem("memory").pipe_file("/uris/a.png", b"remote")
    assert uris.read("memory://uris/a.png", "") == b"remote"
    assert uris.read("zip://in/1.png::a.zip", str(tmp_path)) == b"one"
    assert uris.read(f"zip://in/1.png::file://{archive}", "") == b"one"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("memory://uris/none.png", "cannot open memory://uris/none.png: no such file"),
        ("zip://none.png::a.zip", "cannot open zip://none.png::a.zip: no such file"),
        ("zip://in/1.png::none.zip", "no such file"),
        ("nosuch://a", "nosuch"),
    ],
)
def test_what_cannot_be_read_says_why(uri, said, archive):
    with pytest.raises(Unreadable, match=said) as raised:
        uris.read(uri, str(archive.parent))
    assert "\n" not in str(raised.value)


def test_larger_files_than_any_image_are_refused(monkeypatch):
    monkeypatch.setattr(uris, "MAX_BYTES", 3)
    fsspec.filesystem("memory").pipe_file("/uris/b.png", b"four")
    with pytest.raises(Unreadable, match="more than 3 bytes"):
        uris.read("memory://uris/b.png", "")


def test_stamps_are_of_local_archives(archive):
    folder = str(archive.parent)
    assert uris.stamp("s3://bucket/a.png", folder) == ()
    assert uris.stamp("zip://a::s3://bucket/b.zip", folder) == ()
    assert uris.stamp("zip://a::none.zip", folder) == ()
    assert uris.stamp("zip://in/1.png::a.zip", folder)[0] == archive.stat().st_size


def test_an_archive_that_changes_is_opened_anew(archive):
    folder = str(archive.parent)
    assert uris.read("zip://in/1.png::a.zip", folder) == b"one"
    old = archive.stat()
    time.sleep(0.02)  # a file system's clock ticks up to 100 times a second
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("in/1.png", b"two")
    os.utime(archive, ns=(old.st_atime_ns, old.st_mtime_ns))  # as large and as old as before
    assert uris.read("zip://in/1.png::a.zip", folder) == b"two"
