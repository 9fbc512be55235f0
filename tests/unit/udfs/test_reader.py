"""An image is read once, or the reason is told once."""

from __future__ import annotations

import threading

import fake_networks
import fsspec
import pyarrow as pa
import pytest
from fake_networks import png
from vista_sql.udfs.passes.reader import Reader, read_ahead


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "a.png").write_bytes(png(1))
    fsspec.filesystem("memory").pipe_file("/reader/b.png", png(2))
    paths = ["a.png", "none.png", "memory://reader/b.png", "memory://reader/none.png"]
    return fake_networks.inputs(pa.array(paths), folder=str(tmp_path))


def test_bytes_or_the_reason(inputs):
    reader = Reader(inputs, {})
    assert reader.fetch(0) == (png(1), None)
    assert reader.fetch(1) == (None, "cannot open none.png: no such file")
    assert reader.fetch(2) == (png(2), None)
    assert reader.seconds > 0


def test_an_image_is_read_once_and_held_until_it_is_taken(inputs, tmp_path):
    reader = Reader(inputs, {})
    reader.fetch(0)
    (tmp_path / "a.png").write_bytes(b"other")
    assert reader.fetch(0) == reader.take(0) == (png(1), None)
    assert reader.take(0) == (b"other", None)


def test_remote_images_are_read_ahead_in_threads_of_their_own(inputs):
    read_in = []
    read = inputs.images.read
    inputs.images.read = lambda image: (
        read_in.append(threading.current_thread().name) or read(image)
    )
    ahead = read_ahead(inputs, range(4))
    assert sorted(ahead) == [2, 3]
    reader = Reader(inputs, ahead)
    assert reader.fetch(2) == (png(2), None)
    assert reader.fetch(3)[1] == "cannot open memory://reader/none.png: no such file"
    assert all(name.startswith("vista-read") for name in read_in)


def test_a_cancelled_call_reads_nothing(inputs):
    def cancelled():
        raise KeyboardInterrupt

    inputs.runtime.raise_if_cancelled = cancelled
    with pytest.raises(KeyboardInterrupt):
        Reader(inputs, {}).fetch(0)
    with pytest.raises(KeyboardInterrupt):
        read_ahead(inputs, [2])[2].result()
