"""The columns of a kernel call → what it is about: an order, distinct images, and rows' keys."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from vista_sql.kernels import InferSpec

from ..images.distinct_images import DistinctImages
from ..images.image_column import image_column
from ..images.prepared import Wanted
from ..network import hog
from ..network.networks import Network, OpenCnn
from .arrow import Column, one_array
from .runtime import Runtime


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one kernel call is about; images have numbers, as `images` gives them."""

    runtime: Runtime
    spec: InferSpec
    opened: OpenCnn
    wanted: Wanted  # what images are decoded to
    images: DistinctImages
    identities: Sequence[Hashable]  # of each image: what equal ones share within a process
    keys: pa.Array  # text that names each row in errors; may be NULL

    def network(self) -> Network | hog.Hog:
        """Return the network; the first call of a process waits until it is loaded."""
        return self.runtime.network(self.spec)

    def batch_rows(self) -> int:
        """Return the most images of one pass of the network; may load it."""
        return self.spec.batch_rows or self.network().batch_rows


def read_inputs(runtime: Runtime, spec: InferSpec, images: Column, keys: Column) -> Inputs:
    """Return what a kernel was called with, its images told apart.

    Args:
        runtime: shared by the process's kernels.
        spec: the order.
        images: as `image_column` takes them.
        keys: text that names the rows in errors; may be NULL.

    Raises:
        ArgumentError: no field of the rows may be the image, or several; or what was found to be
            the image holds labels.
        UnknownNameError: there is no such CNN, or there are no such weights.
        WeightsError: the weights are missing or damaged.
    """
    if spec.gate and runtime.fed_runs.is_closed(spec.gate):  # it has seen enough: read no more
        images = pa.nulls(len(images), pa.large_binary())
    opened = runtime.opened(spec)
    texts = one_array(keys)
    distinct = DistinctImages(image_column(images, spec, texts), spec.folder, spec.schemes)

    def identity(image: int) -> Hashable:
        runtime.raise_if_cancelled()
        return distinct.identity(image)

    with runtime.clock(spec.run).waiting():  # as for the batches that follow, which say what for
        identities = list(runtime.threads.decoders().map(identity, range(len(distinct))))
    cnn = opened.cnn
    pixels = cnn.preprocessing
    return Inputs(
        runtime=runtime,
        spec=spec,
        opened=opened,
        wanted=Wanted(pixels.order, pixels.framing, cnn.input_shape),
        images=distinct,
        identities=identities,
        keys=texts,
    )
