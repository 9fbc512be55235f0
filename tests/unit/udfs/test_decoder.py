"""Bytes → pixels: decoded here, or taken from an earlier call."""

from __future__ import annotations

import fake_networks
import fsspec
import numpy as np
import pyarrow as pa
from fake_networks import png
from vista_sql.udfs.passes.counts import Amounts
from vista_sql.udfs.passes.decoder import Decoder
from vista_sql.udfs.passes.reader import Reader


def decoded(inputs, image=0):
    decoder, amounts = Decoder(inputs), Amounts()
    out = np.zeros(decoder.shape, np.uint8)
    return decoder.decode(image, out, Reader(inputs), amounts), out, amounts


def test_pixels_have_the_networks_shape():
    reason, pixels, amounts = decoded(fake_networks.inputs([png(1)]))
    assert reason is None
    assert pixels.any()
    assert amounts.decoded == 1
    assert amounts.decode_seconds > 0


def test_what_is_no_image_has_a_reason():
    reason, _, amounts = decoded(fake_networks.inputs([b"x"]))
    assert reason == "not an image (1 bytes)"
    assert amounts.decoded == 1


def test_what_cannot_be_read_is_not_decoded():
    reason, _, amounts = decoded(fake_networks.inputs(pa.array(["none.png"]), folder="/nowhere"))
    assert reason == "cannot open none.png: no such file"
    assert amounts.decoded == 0


def test_pixels_are_held_for_later_calls_and_taken_once_each():
    runtime = fake_networks.runtime()
    _, pixels, _ = decoded(fake_networks.inputs([png(1)], runtime, pixels_kept_for=1))
    later = fake_networks.inputs([png(1)], runtime, pixels_taken=True)
    reason, taken, amounts = decoded(later)
    assert (reason, amounts.decoded) == (None, 0)
    assert np.array_equal(taken, pixels)
    _, again, amounts = decoded(later)
    assert amounts.decoded == 1
    assert np.array_equal(again, pixels)


def test_pixels_of_an_image_that_may_change_are_not_held():
    fsspec.filesystem("memory").pipe_file("/decoder/a.png", png(1))
    runtime, paths = fake_networks.runtime(), pa.array(["memory://decoder/a.png"])
    decoded(fake_networks.inputs(paths, runtime, pixels_kept_for=1))
    _, _, amounts = decoded(fake_networks.inputs(paths, runtime, pixels_taken=True))
    assert amounts.decoded == 1
