"""What images lack is inferred in batches that one pass serves, and handed on."""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager

import fake_networks
import numpy as np
import pytest
from fake_networks import FakeNetwork, png
from vista_sql.udfs.passes.decoder import Decoder
from vista_sql.udfs.passes.inferrer import Inferrer
from vista_sql.udfs.passes.lookup import Sought
from vista_sql.udfs.passes.outputs import Outputs
from vista_sql.udfs.passes.reasons import Reasons
from vista_sql.udfs.passes.results import Results
from vista_sql.udfs.passes.store_view import store_view
from vista_sql.udfs.passes.windows import Window

from vista_sql import store
from vista_sql.errors import StoreError

ASKED = [("c5", "gap"), ("f6", "gap")]
IMAGES = [png(seed) for seed in range(8)]
DIGESTS = [store.digest(image) for image in IMAGES]
BASE = ("c1", "none")


class Made:
    """An inferrer of IMAGES and all around it."""

    def __init__(self, exchange, inputs, network):
        self.inputs, self.network, self.exchange = inputs, network, exchange
        self.view, self.reasons = store_view(inputs, ASKED), Reasons(inputs)
        self.results = Results(inputs.images, 2)
        self.inferrer = Inferrer(
            inputs,
            Outputs(inputs, ASKED, [BASE]),
            view=self.view,
            decoder=Decoder(inputs),
            exchange=exchange,
            results=self.results,
            reasons=self.reasons,
        )

    def add(self, *images, missing=(0, 1), from_base=False):
        pixels = np.stack([np.full((32, 32, 1), image + 1, np.uint8) for image in images])
        sought = [Sought(None, missing, from_base, DIGESTS[image]) for image in images]
        self.inferrer.add(Window(images, sought, pixels))

    def sums(self, *images):
        return [self.results.matrices[0][image, 0] for image in images]


@pytest.fixture
def making(tmp_path):
    @contextmanager
    def made(has_store=True, **spec):
        network = FakeNetwork()
        if has_store:
            spec = {"store": str(tmp_path / "store"), "store_required": True} | spec
        inputs = fake_networks.inputs(IMAGES, fake_networks.runtime(network), **spec)
        with inputs.runtime.sharing.exchange(inputs.identities, inputs.images.last) as exchange:
            yield Made(exchange, inputs, network)

    return made


def test_batches_are_full_until_the_end(making):
    with making() as made:
        made.add(0, 1)
        made.inferrer.infer(all_waiting=False)
        assert made.network.runs == []
        made.add(2, 3)
        made.inferrer.infer(all_waiting=False)
        made.inferrer.infer(all_waiting=True)
    assert [n for _, _, n in made.network.runs] == [3, 1]
    assert made.sums(0, 1, 2, 3) == [1024, 2048, 3072, 4096]


def test_without_a_store_no_image_waits(making):
    with making(has_store=False) as made:
        made.add(0, 1)
        made.inferrer.infer(all_waiting=False)
    assert made.network.runs == [(None, (*ASKED, BASE), 2)]


def test_images_that_need_less_of_the_network_have_passes_of_their_own(making):
    with making() as made:
        made.add(0, 1, missing=(0,))
        made.add(2, missing=(1,))
        made.add(3, missing=(0, 1))
        made.inferrer.infer(all_waiting=True)
    asked = [outputs for _, outputs, _ in made.network.runs]
    assert asked == [(ASKED[0], BASE), (*ASKED, BASE)]


def test_what_is_inferred_is_in_the_store_and_other_calls_have_it(making):
    with making() as made:
        made.add(0, 1)
        made.inferrer.infer(all_waiting=True)
    assert made.view.stored_bytes(ASKED[1], DIGESTS[:3]) == [8, 8, None]
    assert made.view.stored_bytes(BASE, DIGESTS[:1]) == [8]
    with made.inputs.runtime.sharing.exchange(made.inputs.identities, 7) as later:
        assert [later.take(image) is not None for image in range(3)] == [True, True, False]
    counts = made.inputs.runtime.counters("r")
    assert (counts.images_inferred, counts.batches, counts.layer_evaluations) == (2, 1, 6)


def test_what_another_call_gave_by_now_is_not_inferred(making):
    with making() as made:
        made.add(0, 1)
        runtime = made.inputs.runtime
        with runtime.sharing.exchange(made.inputs.identities, 7) as other:
            other.publish([0], [np.full((1, 2), 9, np.float32)] * 2)
        made.inferrer.infer(all_waiting=True)
    assert [n for _, _, n in made.network.runs] == [1]
    assert made.sums(0, 1) == [9, 2048]


def test_images_start_at_the_base_and_from_pixels_where_its_map_has_gone(making):
    with making(base="c1") as made:
        made.view.keep(DIGESTS[:2], [BASE], [np.ones((2, 5), np.float32)], on_gpu=False)
        made.add(0, 1, 2, from_base=True)
        made.inferrer.infer(all_waiting=True)
    assert [(start, n) for start, _, n in made.network.runs] == [(None, 1), ("c1", 2)]
    assert made.sums(0, 1) == [5, 5]
    counts = made.inputs.runtime.counters("r")
    assert (counts.images_inferred, counts.images_resumed, counts.decoded) == (3, 2, 1)


def test_an_image_that_can_no_longer_be_read_tells_why(making):
    with making(base="c1") as made:
        made.inputs.images.read = lambda image, grow: b"x"
        made.add(0, from_base=True)
        made.inferrer.infer(all_waiting=True)
    assert made.network.runs == []
    assert made.reasons.column()[0].as_py() == "not an image (1 bytes)"


def test_a_pass_runs_while_what_the_one_before_inferred_is_committed(making, monkeypatch):
    ran_again = threading.Event()
    with making() as made:
        run, keep = made.network.run, made.view.keep
        waited, kept = [], []

        def running(*arguments):
            if made.network.runs:
                ran_again.set()
            return run(*arguments)

        def keeping(digests, *others, **on):
            waited.append(ran_again.wait(10))
            keep(digests, *others, **on)
            kept.extend(digests)

        monkeypatch.setattr(made.network, "run", running)
        monkeypatch.setattr(made.view, "keep", keeping)
        made.add(0, 1, 2, 3)
        made.inferrer.infer(all_waiting=True)
        assert waited == [True, True]
        assert kept == DIGESTS[:4]


def test_a_commit_that_fails_is_the_calls_error_and_the_last_one_is_waited_for(making, monkeypatch):
    with making() as made:
        done = []

        def failing(*arguments, **on):
            time.sleep(0.1)
            done.append(True)
            raise StoreError("the disk is full")

        monkeypatch.setattr(made.view, "keep", failing)
        made.add(0, 1, 2)
        with closing(made.inferrer):
            made.inferrer.infer(all_waiting=False)
        assert done == [True]
        with pytest.raises(StoreError, match="the disk is full"):
            made.inferrer.infer(all_waiting=True)
