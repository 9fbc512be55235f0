"""URIs and members of archives → bytes, or the reason why there are none."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import time
import zipfile

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from vista_sql.udfs.images import paths, uris
from vista_sql.udfs.images.paths import Unreadable


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
        ("zip://none.png::a.zip", "none.png::a.zip: the archive has no such member"),
        ("zip://in/1.png::none.zip", "no such archive"),
        ("zip://in/1.png::memory://none.zip", "no such archive"),
        ("zip://d/2.png", "named as zip://member::archive.zip"),
        ("tar://::a.tar", "named as tar://member::archive.tar"),
        ("zip://a::/dev/zero", "it is no regular file"),
        ("zip://a::file:///dev/zero", "it is no regular file"),
        ("memory://a::local:///dev/zero", "it is no regular file"),
        ("zip://a::tar://b::/dev/zero", "it is no regular file"),
        ("zip://a::pipe", "it is no regular file"),
        ("zip://a::.", "it is a folder"),
        ("nosuch://a", "nosuch"),
    ],
)
def test_what_cannot_be_read_says_why(uri, said, archive):
    os.mkfifo(archive.parent / "pipe")
    with pytest.raises(Unreadable, match=said) as raised:
        uris.read(uri, str(archive.parent))
    assert "\n" not in str(raised.value)


def test_larger_files_than_any_image_are_refused(monkeypatch):
    monkeypatch.setattr(paths, "MAX_STREAM_BYTES", 3)
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


def test_members_are_found_with_and_without_a_dot_before_them(tmp_path):
    (tmp_path / "1.png").write_bytes(b"one")
    with (
        tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar,
        zipfile.ZipFile(tmp_path / "b.zip", "w") as dotted,
    ):
        tar.add(tmp_path / "1.png", "./in/1.png")
        dotted.writestr("./2.png", b"two")
        dotted.writestr("3.png", b"three")
    for member in ("in/1.png", "./in/1.png"):
        assert uris.read(f"tar://{member}::a.tar.gz", str(tmp_path)) == b"one"
    for name, data in (("2.png", b"two"), ("3.png", b"three")):
        for member in (name, f"./{name}"):
            assert uris.read(f"zip://{member}::b.zip", str(tmp_path)) == data


def test_a_member_that_begins_as_no_image_is_read_no_further(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(1 << 23))
        file.writestr("heic", b"\0\0\0\x18ftypheic" + bytes(1 << 23))
    monkeypatch.setattr(paths, "LOOKED_AT_BYTES", 1 << 20)
    monkeypatch.setattr(paths, "MAX_STREAM_BYTES", 1 << 21)  # nothing comes so far
    for member, said in (("zeros", "it begins as no image"), ("heic", "HEIC is not read here")):
        with pytest.raises(Unreadable, match=said):
            uris.read(f"zip://{member}::a.zip", str(tmp_path))
    stamp = uris.stamp("zip://zeros::a.zip", str(tmp_path))
    assert uris._archive("zip", str(tmp_path / "a.zip"), *stamp).lock.acquire(blocking=False)


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    hang = threading.Event()

    def silent(self, path, *arguments, **options):
        hang.wait(20)
        return io.BytesIO(b"")

    monkeypatch.setattr(MemoryFileSystem, "_open", silent)
    monkeypatch.setattr(uris, "SILENT_SECONDS", 0.05)
    with pytest.raises(Unreadable, match=r"memory://a.png: no byte came for 0.05 s"):
        uris.read("memory://a.png", "")
    hang.set()


def test_a_slow_server_is_waited_for_while_it_speaks(monkeypatch):
    class Slow(io.BytesIO):
        def read(self, n=-1):
            threading.Event().wait(0.03)
            return super().read(3)

    monkeypatch.setattr(MemoryFileSystem, "_open", lambda *_, **__: Slow(b"slow but sure"))
    monkeypatch.setattr(uris, "SILENT_SECONDS", 0.1)
    assert uris.read("memory://a.png", "") == b"slow but sure"


def test_schemes_can_be_restricted(archive, monkeypatch):
    fsspec.filesystem("memory").pipe_file("/uris/c.png", b"here")
    folder = str(archive.parent)
    assert uris.read("memory://uris/c.png", folder, "file, MEMORY") == b"here"
    for uri, schemes in (
        ("memory://uris/c.png", "file"),
        ("zip://in/1.png::a.zip", "file"),
        ("zip://in/1.png::a.zip", "zip"),  # the archive is a file
        ("zip://in/1.png::memory://a.zip", "zip,file"),
    ):
        with pytest.raises(Unreadable, match="is none of the schemes that may be read"):
            uris.read(uri, folder, schemes)
    assert uris.read("zip://in/1.png::a.zip", folder, "zip,file") == b"one"
    monkeypatch.setenv("VISTA_SQL_SCHEMES", "file")  # which no variable of a session widens
    with pytest.raises(Unreadable, match="memory is none"):
        uris.read("memory://uris/c.png", folder, "memory")
