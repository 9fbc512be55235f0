"""The columns of a kernel call → what it is about: an order, distinct images, and rows' keys."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pyarrow as pa
from msgspec import Struct, field

from vista_sql.kernels import InferSpec

from ..images import headers
from ..images.distinct_images import DistinctImages
from ..images.framing import Sides
from ..images.image_column import image_column
from ..images.prepared import Wanted
from ..images.regions import Boxes, box_column, refuse_prepared
from ..network import hog
from ..network.networks import Network, OpenCnn
from .arrow import Column, map_rows, one_array
from .runtime import Runtime


class Inputs(Struct, frozen=True):
    """What one kernel call is about; images have numbers, as `images` gives them."""

    runtime: Runtime
    spec: InferSpec
    opened: OpenCnn
    wanted: Wanted  # what images are decoded to
    images: DistinctImages
    identities: Sequence[Hashable]  # of each image: what equal ones share within a process
    keys: pa.Array  # text that names each row in errors; may be NULL
    boxes: Boxes | None = None  # of each row, where they are read off its image's maps
    base: pa.Array | None = None  # of each row, the raw map of the order's base as a BLOB
    sides: dict[int, Sides] = field(default_factory=dict)
    """Height and width of upright images, of those that were read; where there are boxes."""

    def see(self, image: int, data: pa.Buffer | bytes | None) -> None:
        """Note what there is to know of an image that was read.

        Raises:
            ArgumentError: it is a prepared image, and boxes are of the original.
        """
        if self.boxes is not None and data is not None:
            refuse_prepared(data)
            header = headers.header(memoryview(data).cast("B"))
            self.sides[image] = header.upright if header.pixels else (0, 0)

    def network(self) -> Network | hog.Hog:
        """Return the network; the first call of a process waits until it is loaded."""
        return self.runtime.network(self.spec)

    def lent(self, image: int, computation: str) -> Hashable:
        """Return under what a raw map of an image is lent to other networks that begin alike."""
        spec, pixels = self.spec, self.opened.cnn.preprocessing
        made_by = (computation, pixels, spec.dtype, spec.device, spec.engine)
        return (self.identities[image], *made_by)

    def has_base(self, image: int) -> bool:
        """Return whether the call brings an image's raw map of the order's base."""
        return self.base is not None and self.base[self._first_row(image)].is_valid

    def base_map(self, image: int) -> np.ndarray | None:
        """Return the raw map that the call brings of an image, float32 (values,); None: none.

        Raises:
            HostError: the BLOB is no map of that layer.
        """
        if self.base is None or self.spec.base is None or not self.has_base(image):
            return None
        network, row = self.network(), self._first_row(image)
        assert isinstance(network, Network)  # noqa: S101 - HOG has no base
        rows, _ = map_rows(self.base.slice(row, 1), network.size(self.spec.base), self.spec.base)
        values: np.ndarray = rows(np.zeros(1, np.int64))[0]
        return values

    def _first_row(self, image: int) -> int:
        return int(self.images.rows(image)[0])

    def batch_rows(self) -> int:
        """Return the most images of one pass of the network; may load it."""
        return self.spec.batch_rows or self.network().batch_rows


def read_inputs(
    runtime: Runtime,
    spec: InferSpec,
    images: Column,
    keys: Column,
    boxes: Column | None = None,
    base: Column | None = None,
) -> Inputs:
    """Return what a kernel was called with, its images told apart.

    Args:
        runtime: shared by the process's kernels.
        spec: the order.
        images: as `image_column` takes them.
        keys: text that names the rows in errors; may be NULL.
        boxes: as `box_column` takes them, where the order has a region; else None.
        base: raw maps of the order's base, where rows bring them; else None.

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
    found = None if boxes is None else box_column(boxes)
    crops = found if spec.region == "crop" else None
    column = image_column(images, spec, texts)
    distinct = DistinctImages(column, spec.folder, spec.schemes, crops)

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
        boxes=None if crops else found,
        base=None if base is None else one_array(base),
    )
