"""Images through URIs: remote stores, members of archives; what cannot be read is a row's error."""

from __future__ import annotations

import os
import tarfile
import threading
import time
import zipfile

import cv2
import duckdb
import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from vista_sql.udfs.images import uris

import vista_sql


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture
def db(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with vista_sql.connect() as session:
        yield session


def features(db, uris):
    """Return fc6 and error of images named by URIs, in their order."""
    db.con.execute("CREATE OR REPLACE TABLE images (id INTEGER, uri VARCHAR)")
    db.con.executemany("INSERT INTO images VALUES (?, ?)", list(enumerate(uris)))
    rows = db.query(
        "SELECT fc6, error FROM TRANSFER(cnn => 'lenet5', layers => ['fc6']) ORDER BY id"
    )
    return rows.fetchall()


def of_blobs(db, n_images):
    db.con.execute("CREATE OR REPLACE TABLE images (id INTEGER, image BLOB)")
    db.con.executemany("INSERT INTO images VALUES (?, ?)", [(i, png(i)) for i in range(n_images)])
    return db.query(
        "SELECT fc6, error FROM TRANSFER(cnn => 'lenet5', layers => ['fc6']) ORDER BY id"
    ).fetchall()


def test_every_place_gives_the_same_features(db, tmp_path):
    store = fsspec.filesystem("memory")
    with zipfile.ZipFile("a.zip", "w") as archive, tarfile.open("a.tar.gz", "w:gz") as tar:
        for i in range(5):
            (tmp_path / f"{i}.png").write_bytes(png(i))
            archive.writestr(f"in/{i}.png", png(i))
            tar.add(f"{i}.png")
            store.pipe_file(f"/shots/{i}.png", png(i))
    expected = of_blobs(db, 5)
    for form in ("{}.png", f"file://{tmp_path}/{{}}.png", "memory://shots/{}.png",
                 "zip://in/{}.png::a.zip", "tar://{}.png::a.tar.gz"):  # fmt: skip
        assert features(db, [form.format(i) for i in range(5)]) == expected, form


def test_what_cannot_be_read_is_said_and_touches_no_other(db, tmp_path):
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.writestr("0.png", png(0))
    (tmp_path / "no.zip").write_bytes(b"not an archive")
    found = features(
        db,
        ["zip://0.png::a.zip", "zip://1.png::a.zip", "zip://0.png::b.zip", "zip://0.png::no.zip",
         "memory://nowhere/0.png", "nosuch://0.png"],
    )  # fmt: skip
    assert found[0] == of_blobs(db, 1)[0]
    assert [row[0] for row in found[1:]] == [None] * 5
    errors = [row[1] for row in found[1:]]
    assert all(error.startswith("cannot open ") for error in errors), errors
    assert "the archive has no such member" in errors[0]
    assert "no such archive" in errors[1]
    assert "no such file" in errors[3]
    assert "nosuch" in errors[4]


def test_a_changed_archive_is_read_again(db):
    found = []
    for seed in (1, 2):
        with zipfile.ZipFile("a.zip", "w") as archive:
            archive.writestr("0.png", png(seed))
            archive.writestr("more", b"x" * seed)
        found += [features(db, ["zip://0.png::a.zip"]) for _ in range(2)]
    assert found[0] == found[1]
    assert found[1] != found[2]
    assert found[2] == found[3]


def test_remote_images_are_read_ahead_and_bounded(db, monkeypatch):
    store = fsspec.filesystem("memory")
    for i in range(64):
        store.pipe_file(f"/slow/{i}.png", png(i))
    inside, most, lock = [0], [0], threading.Lock()
    opened = MemoryFileSystem._open

    def slow(self, path, *arguments, **options):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.02)
        with lock:
            inside[0] -= 1
        return opened(self, path, *arguments, **options)

    monkeypatch.setattr(MemoryFileSystem, "_open", slow)
    found = features(db, [f"memory://slow/{i}.png" for i in range(64)])
    assert all(error is None for _, error in found)
    assert 4 < most[0] <= 16  # more than there are cores, no more than there are readers


def test_schemes_can_be_restricted_in_a_session(db, tmp_path):
    fsspec.filesystem("memory").pipe_file("/schemes/0.png", png(0))
    (tmp_path / "0.png").write_bytes(png(0))
    db.con.execute("SET VARIABLE vista_schemes = 'file'")
    there, remote = features(db, ["0.png", "memory://schemes/0.png"])
    assert there[1] is None
    assert remote == (
        None,
        "cannot open memory://schemes/0.png: memory is none of the schemes that may be read "
        "(schemes)",
    )


@pytest.mark.parametrize("host", ["query", "bare"])
def test_what_was_read_before_is_not_given_to_who_may_not_read_it(host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0.png").write_bytes(png(7))
    session, con = vista_sql.connect(), duckdb.connect()
    vista_sql.attach(con)
    run = con.execute
    if host == "query":
        con, run = session.con, session.query

    def found():
        sql = "SELECT fc6, error FROM TRANSFER(cnn => 'lenet5', layers => ['fc6'], images => 't')"
        return run(sql).fetchall()[0]

    con.execute("CREATE TABLE t AS SELECT 0 AS id, '0.png' AS path")
    assert found()[1] is None
    refusal = "cannot open 0.png: file is none of the schemes that may be read (schemes)"
    con.execute("SET VARIABLE vista_schemes = 'https'")
    assert found() == (None, refusal)
    con.execute("SET VARIABLE vista_schemes = 'https,file'")
    assert found()[1] is None
    monkeypatch.setenv("VISTA_SQL_SCHEMES", "https")  # which a variable cannot widen
    assert found() == (None, refusal)


def test_devices_pipes_and_silent_servers_are_errors_of_their_rows(db, tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "0.png").write_bytes(png(0))
    opened, hang = MemoryFileSystem._open, threading.Event()

    def silent(self, path, *arguments, **options):
        hang.wait(30)
        return opened(self, path, *arguments, **options)

    monkeypatch.setattr(MemoryFileSystem, "_open", silent)
    monkeypatch.setattr(uris, "SILENT_SECONDS", 0.1)
    long = "x" * 5000
    found = features(
        db, ["0.png", "pipe", "/dev/zero", "zip://a::/dev/zero", "memory://silent/0.png", long]
    )
    hang.set()
    assert [row[1] for row in found[:5]] == [
        None,
        "cannot open pipe: it is no regular file",
        "cannot open /dev/zero: it is no regular file",
        "cannot open zip://a::/dev/zero: it is no regular file",
        "cannot open memory://silent/0.png: no byte came for 0.1 s",
    ]
    assert len(found[5][1]) <= 200
