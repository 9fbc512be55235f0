"""An image is read once, or the reason is told once."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import fake_networks
import fsspec
import pyarrow as pa
import pytest
from fake_networks import png
from vista_sql.udfs.images import memory
from vista_sql.udfs.passes import reader as reader_module
from vista_sql.udfs.passes.reader import Ahead, Reader


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "a.png").write_bytes(png(1))
    fsspec.filesystem("memory").pipe_file("/reader/b.png", png(2))
    paths = ["a.png", "none.png", "memory://reader/b.png", "memory://reader/none.png"]
    return fake_networks.inputs(pa.array(paths), folder=str(tmp_path))


def test_bytes_or_the_reason(inputs):
    reader = Reader(inputs)
    assert reader.fetch(0) == (png(1), None)
    assert reader.fetch(1) == (None, "cannot open none.png: no such file")
    assert reader.fetch(2) == (png(2), None)
    assert reader.seconds > 0


def test_an_image_is_read_once_and_held_until_it_is_taken(inputs, tmp_path):
    reader = Reader(inputs)
    reader.fetch(0)
    (tmp_path / "a.png").write_bytes(b"other")
    assert reader.fetch(0) == reader.take(0) == (png(1), None)
    assert reader.take(0) == (b"other", None)


def test_remote_images_are_read_ahead_in_threads_of_their_own(inputs):
    read_in = []
    read = inputs.images.read
    inputs.images.read = lambda image, grow: (
        read_in.append(threading.current_thread().name) or read(image, grow)
    )
    ahead = Ahead(inputs, range(4))
    assert len(ahead) == 2
    eventually(lambda: len(read_in) == 2)
    reader = Reader(inputs, ahead)
    assert reader.fetch(2) == (png(2), None)
    assert reader.fetch(3)[1] == "cannot open memory://reader/none.png: no such file"
    assert all(name.startswith("vista-read") for name in read_in)


def test_a_cancelled_call_reads_nothing(inputs):
    def cancelled():
        raise KeyboardInterrupt

    inputs.runtime.raise_if_cancelled = cancelled
    with pytest.raises(KeyboardInterrupt):
        Reader(inputs).fetch(0)
    with (
        pytest.raises(KeyboardInterrupt),
        closing(Reader(inputs, Ahead(inputs, [2])).portions([2], fetched=True)) as portions,
    ):
        next(portions)
    assert inputs.runtime.in_flight.held == 0


def eventually(is_so):
    """Wait until something is so."""
    ends = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.001)


N, SIZE = 24, 1000


@pytest.fixture
def remote(tmp_path):
    """N remote images of SIZE bytes, of which four may be in flight, and what was held at most."""
    files = fsspec.filesystem("memory")
    for i in range(N):
        files.pipe_file(f"/many/{i}.png", bytes([i]) * SIZE)
    inputs = fake_networks.inputs(pa.array([f"memory://many/{i}.png" for i in range(N)]))
    flight = inputs.runtime.in_flight = Watched(4 * SIZE)
    return inputs, flight


class Watched(memory.InFlight):
    """Notes the most bytes that were ever held."""

    most, _held = 0, 0

    @property
    def held(self):
        return self._held

    @held.setter
    def held(self, n_bytes):
        self._held = n_bytes
        self.most = max(self.most, n_bytes)


def read_parts(inputs, flight, n_threads, *, fetched):
    """Read all images as the threads of a window do, each a part; return what they read."""
    ahead, found = Ahead(inputs, range(N)), {}

    def read(images):
        reader = Reader(inputs, ahead)
        with closing(reader.portions(images, fetched=fetched)) as portions:
            for portion in portions:
                for image in portion:
                    found[image] = reader.take(image)[0]
                    reader.let_go(image)

    step = N // n_threads
    threads = [
        threading.Thread(target=read, args=(range(start, start + step),))
        for start in range(0, N, step)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads), "they wait for each other"
    return found


@pytest.mark.parametrize("fetched", [False, True])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_all_that_is_read_ahead_keeps_one_budget(remote, n_threads, fetched, monkeypatch):
    monkeypatch.setattr(reader_module, "PORTION_BYTES", 2 * SIZE)
    inputs, flight = remote
    found = read_parts(inputs, flight, n_threads, fetched=fetched)
    assert found == {i: bytes([i]) * SIZE for i in range(N)}
    assert 2 * SIZE <= flight.most <= (4 + 2) * SIZE, "and one thread's portion beside it"
    eventually(lambda: flight.held == 0)
    assert (flight.by_holder, flight.beyond) == ({}, None)


def test_images_that_are_larger_than_all_may_be_are_read_one_after_the_other(remote):
    inputs, flight = remote
    flight.budget_bytes = SIZE // 2
    assert len(read_parts(inputs, flight, 3, fetched=True)) == N
    assert flight.most <= N // 3 * SIZE, "one thread's"
    assert (flight.held, flight.by_holder, flight.beyond) == (0, {}, None)


def test_what_nobody_takes_is_let_go_of(remote):
    inputs, flight = remote
    ahead = Ahead(inputs, range(N))
    eventually(lambda: flight.held == 4 * SIZE)
    ahead.drop(range(N))
    eventually(lambda: flight.held == 0)
    with closing(Reader(inputs, Ahead(inputs, range(3))).portions(range(3), fetched=True)) as some:
        assert next(some) == [0, 1, 2]
    eventually(lambda: flight.held == 0)
