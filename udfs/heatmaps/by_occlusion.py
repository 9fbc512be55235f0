"""Method 'occlusion': how far a score falls with each patch of the image grayed.

Zeiler & Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014, section 4.2. A
patch is filled with the mean that the preprocessing subtracts, rounded to a pixel's value. What a
patch cannot reach is not computed again: `network/windows`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from msgspec import Struct

from vista_sql.errors import ArgumentError
from vista_sql.train.chunks import Floats

from ..images.opencv import Pixels
from ..network.networks import Network
from ..network.windows.again import Again
from ..passes.counts import Amounts
from ..passes.decoder import Decoder
from ..passes.inputs import Inputs
from ..passes.reader import Reader
from ..passes.reasons import Reasons
from .patches import Patches


class SeenPixels(Struct, frozen=True):
    """A batch whose images were decoded and inferred as they are: `Seen`."""

    inputs: Inputs
    network: Network
    patches: Patches
    memory_bytes: int  # for computing patches
    pixels: Pixels  # uint8 (images, height, width, channels)
    features: np.ndarray | None
    present: np.ndarray
    errors: pa.Array

    def heatmaps(self, weights: Mapping[int, Floats]) -> Iterator[tuple[int, np.ndarray]]:
        """See `Seen`."""
        images = self.inputs.images
        for image in range(len(images)):
            rows = [row for row in images.rows(image).tolist() if row in weights]
            if rows:
                matrix = np.stack([weights[row] for row in rows])
                yield from zip(rows, self._falls(image, rows[0], matrix), strict=True)

    def _falls(self, image: int, row: int, weights: Floats) -> np.ndarray:
        """Return how far scores fall: float32 (rows, patches down, patches across)."""
        assert self.features is not None  # noqa: S101 - a row that is present has them
        whole = weights @ self.features[row].astype(np.float64)
        down, across = map(len, self.patches.corners)
        falls = np.empty((len(weights), down * across), np.float32)
        for numbers, features in self._occluded(self.pixels[image]):
            falls[:, numbers] = whole[:, None] - weights @ features.astype(np.float64).T
        return falls.reshape(len(weights), down, across)

    def _occluded(self, pixels: Pixels) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield numbers of patches, and the layer's features with these grayed: `Again`."""
        runtime, spec = self.inputs.runtime, self.inputs.spec
        output = spec.layers[0], spec.pool
        again = Again(
            self.network, output, self.patches.patch, self.patches.corners, self.memory_bytes
        )
        found = again.features(pixels, self._gray)
        while True:
            runtime.raise_if_cancelled()
            with runtime.inference:
                began = time.perf_counter()
                with runtime.clock(spec.run).inferring():
                    some = next(found, None)
                seconds = time.perf_counter() - began
            if some is None:
                return
            runtime.count(
                spec.run, batches=1, layer_evaluations=len(some[0]), infer_seconds=seconds
            )
            yield some

    @property
    def _gray(self) -> Pixels:
        mean = np.rint(self.network.cnn.preprocessing.mean)
        return np.clip(mean, 0, 255).astype(np.uint8)


def see(inputs: Inputs, network: Network, patch: int, stride: int, memory_bytes: int) -> SeenPixels:
    """Decode a batch of images, and infer them as they are.

    Args:
        inputs: whose spec names one layer.
        network: the spec's.
        patch: side of the patches, in pixels of the network's input.
        stride: from one to the next.
        memory_bytes: that computing patches may take.

    Raises:
        ArgumentError: the input is smaller than a patch.
        UnreadableImageError: an image cannot be read and the spec asks to fail then.
    """
    height, width, _ = network.cnn.input_shape
    if patch > min(height, width):
        raise ArgumentError(
            f"patch => {patch} is larger than the input of {network.cnn.name!r}, {height} × "
            f"{width} pixels: give a smaller one"
        )
    images, reasons, decoder = inputs.images, Reasons(inputs), Decoder(inputs)
    pixels = np.empty((len(images), *decoder.shape), np.uint8)

    def decode(image: int) -> tuple[str | None, Amounts]:
        reader, amounts = Reader(inputs), Amounts()
        reason = decoder.decode(image, pixels[image], reader, amounts)
        amounts.read_seconds = reader.seconds
        return reason, amounts

    decoders = inputs.runtime.threads.decoders()
    for image, (reason, amounts) in enumerate(decoders.map(decode, range(len(images)))):
        inputs.runtime.count(inputs.spec.run, **amounts.by_name())
        if reason is not None:
            reasons.tell(image, reason)
    inputs.runtime.tally(inputs.spec.run, inputs.spec.call, images.n_rows, images.n_not_null)
    rows = np.flatnonzero(reasons.present)
    shown = np.full(images.n_rows, -1)
    for image in range(len(images)):
        shown[images.rows(image)] = image
    good = np.unique(shown[rows])
    features = None
    if len(good):
        found = _infer(inputs, network, pixels[good])
        inputs.runtime.count(inputs.spec.run, images_inferred=len(good))
        features = np.zeros((images.n_rows, found.shape[1]), np.float32)
        features[rows] = found[np.searchsorted(good, shown[rows])]
    return SeenPixels(
        inputs,
        network,
        Patches(patch, stride, height, width),
        memory_bytes,
        pixels,
        features,
        reasons.present,
        reasons.column(),
    )


def _infer(inputs: Inputs, network: Network, pixels: Pixels) -> np.ndarray:
    """Return the features (images, values) of the spec's layer."""
    runtime, spec = inputs.runtime, inputs.spec
    runtime.raise_if_cancelled()
    with runtime.inference:
        began = time.perf_counter()
        with runtime.clock(spec.run).inferring():
            (found,) = network.features(spec.layers, spec.pool, pixels)
        seconds = time.perf_counter() - began
    runtime.count(spec.run, batches=1, layer_evaluations=len(pixels), infer_seconds=seconds)
    return found
