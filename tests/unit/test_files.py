"""Files are whole or not there; our folders lie where the environment says."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from vista_sql import files


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def broken_off(path):
    with files.whole(path) as stream:
        stream.write(b"new")
        raise KeyboardInterrupt


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.whole(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with files.whole(path) as stream:
        stream.write(b"new")
    assert os.read(reader, 9) == b"new"
    os.close(reader)
    assert path.is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_a_body_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(KeyboardInterrupt):
        broken_off(path)
    assert names(tmp_path) == []
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        broken_off(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_half_file_sorts_beside_its_own(tmp_path):
    """Records of runs are dropped oldest first, by name: a half of the newest must not be first."""
    with files.whole(tmp_path / "2.json"):
        (tmp_path / "1.json").touch()
        (tmp_path / "3.json").touch()
        assert [name[:2] for name in names(tmp_path)] == ["1.", "2.", "3."]


def test_text_makes_its_folder_and_is_utf8(tmp_path):
    files.write(tmp_path / "a" / "b" / "c.txt", "… é\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "… é\n".encode()


def test_what_cannot_be_written_says_why(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), files.whole(tmp_path / "file" / "a"):
        pass
    with pytest.raises(FileExistsError):
        files.write(tmp_path / "file" / "a", "")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write(tmp_path / "folder", "")
    assert names(tmp_path) == ["file", "folder"]


def test_the_nearest_folder_that_exists(tmp_path):
    assert files.nearest_existing(tmp_path) == tmp_path
    assert files.nearest_existing(tmp_path / "a" / "b") == tmp_path
    assert files.nearest_existing(str(tmp_path / "a")) == tmp_path


@pytest.mark.parametrize(
    ("folder", "variable", "default"),
    [
        (files.user_cache, "XDG_CACHE_HOME", ".cache"),
        (files.user_data, "XDG_DATA_HOME", ".local/share"),
    ],
)
def test_folders_are_the_users(folder, variable, default, monkeypatch):
    """What was stored, measured and built lies there: these paths stay as they are."""
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.delenv(variable, raising=False)
    assert folder() == Path(f"/home/ann/{default}/vista_sql")
    monkeypatch.setenv(variable, "/data/ann")
    assert folder() == Path("/data/ann/vista_sql")
    for relative in ("", " ", "data", "./data", "~/data"):
        monkeypatch.setenv(variable, relative)
        assert folder() == Path(f"/home/ann/{default}/vista_sql")


def test_without_a_home_there_are_none(monkeypatch):
    def nobody(_):
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(RuntimeError):
        files.user_cache()
