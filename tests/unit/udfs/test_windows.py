"""Windows of images, each looked up and decoded before it is handed out."""

from __future__ import annotations

import fake_networks
import numpy as np
import pyarrow as pa
import pytest
from fake_networks import png
from vista_sql.udfs.passes import windows
from vista_sql.udfs.passes.decoder import Decoder
from vista_sql.udfs.passes.lookup import Lookup
from vista_sql.udfs.passes.outputs import Outputs
from vista_sql.udfs.passes.results import Results
from vista_sql.udfs.passes.sharing import Sharing
from vista_sql.udfs.passes.store_view import store_view
from vista_sql.udfs.passes.windows import Windows

ASKED = [("c5", "gap"), ("f6", "gap")]


def windows_of(inputs, sharing, results):
    view = store_view(inputs, ASKED)
    with sharing.exchange(inputs.identities, inputs.images.last) as exchange:
        yield from Windows(
            inputs,
            has_store=view is not None,
            lookup=Lookup(inputs, Outputs(inputs, ASKED), view, results),
            decoder=Decoder(inputs),
            exchange=exchange,
            results=results,
        )


def made(images, sharing=None, **spec):
    inputs = fake_networks.inputs(images, **spec)
    results = Results(inputs.images, 2)
    return list(windows_of(inputs, sharing or Sharing(), results)), inputs, results


def test_windows_are_batches_in_order_with_pixels_of_each_image():
    images = [png(seed) for seed in range(7)]
    found, inputs, _ = made(images)
    assert [list(window.images) for window in found] == [[0, 1, 2], [3, 4, 5], [6]]
    assert all(one.missing == (0, 1) for window in found for one in window.sought)
    alone, _, _ = made([images[4]])
    assert np.array_equal(found[1].pixels[1], alone[0].pixels[0])
    assert inputs.runtime.counters("r").decoded == 7


def test_what_cannot_be_decoded_has_its_reason_and_leaves_its_neighbours_alone():
    ((window,), _, _) = made([png(1), b"x", png(2)])
    assert [one.reason is None for one in window.sought] == [True, False, True]


def test_images_whose_results_another_call_gives_are_in_no_window():
    sharing, images = Sharing(), [png(seed) for seed in range(4)]
    inputs = fake_networks.inputs(images)
    with sharing.exchange(inputs.identities, 3) as other:
        other.publish([1, 2], [np.ones((2, 2), np.float32), np.zeros((2, 3), np.float32)])
    found, _, results = made(images, sharing)
    assert [list(window.images) for window in found] == [[0, 3]]
    assert results.matrices[0][1:3].tolist() == [[1, 1], [1, 1]]


def test_at_most_two_windows_have_pixels(monkeypatch):
    inputs = fake_networks.inputs([png(seed) for seed in range(12)])
    begun, begin = [], Windows._begin
    monkeypatch.setattr(
        Windows, "_begin", lambda self, images: begun.append(images) or begin(self, images)
    )
    for n_done, _ in enumerate(windows_of(inputs, Sharing(), Results(inputs.images, 2))):
        assert len(begun) <= n_done + windows.AHEAD
    assert len(begun) == 4


def test_a_window_with_a_store_needs_no_network(tmp_path):
    runtime = fake_networks.runtime()
    runtime.is_loaded = lambda spec: False
    runtime.network = lambda spec: pytest.fail("loaded")
    images = [png(seed) for seed in range(windows.UNPLANNED_ROWS + 1)]
    inputs = fake_networks.inputs(pa.array(images), runtime, store=str(tmp_path / "store"))
    found = list(windows_of(inputs, Sharing(), Results(inputs.images, 2)))
    assert [len(window.images) for window in found] == [windows.UNPLANNED_ROWS, 1]
