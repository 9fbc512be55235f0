"""Maps of images, in any order and from several threads → features of boxes, row by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vista_sql.kernels import Region

from ..images import framing, regions
from ..network.regions import pooled
from .inputs import Inputs
from .reasons import Reasons
from .results import Results
from .sharing import Vectors


class RegionResults(Results):
    """What is known of a call's rows, each of which is a box on an image: `Results` of its maps.

    A map is pooled as soon as it is there, for all of its boxes, and let go of.
    """

    def __init__(self, inputs: Inputs, region: Region) -> None:
        """Note where boxes lie.

        Args:
            inputs: of the call; its boxes are known.
            region: how they are pooled.
        """
        super().__init__(inputs.images, len(inputs.spec.layers))
        self._inputs, self._region = inputs, region
        self._shapes = [inputs.opened.cnn.layer(name).shape for name in inputs.spec.layers]

    def place(self, image: int, slot: int, values: np.ndarray) -> bool:
        """Pool an image's map at every row that shows it; False: it is not this layer's."""
        height, width, channels = self._shapes[slot]
        if len(values) != height * width * channels:
            return False
        rows, boxes = self._seen(image)
        scale = np.array([width, height], np.float64) / self._input[::-1]
        features = pooled(
            values.reshape(height, width, channels),
            boxes * np.tile(scale, 2),
            self._region,
            self._inputs.spec.pool,
        )
        self._matrix(slot, features.shape[1])[rows] = features
        return True

    def accept(self, image: int, vectors: Vectors | None) -> bool:
        """Pool an image's maps, as another call gave them with its sides; False: it gave none."""
        if vectors is None:
            return False
        *maps, sides = vectors
        self._inputs.sides[image] = (int(sides[0]), int(sides[1]))
        for slot, values in enumerate(maps):
            self.place(image, slot, values)
        return True

    def put(
        self, batch: Sequence[int], slots: Sequence[int], matrices: Sequence[np.ndarray]
    ) -> None:
        """Pool images' maps; as `Results.put`."""
        for slot, matrix in zip(slots, matrices, strict=False):
            if slot < self.n_layers:
                for image, values in zip(batch, matrix, strict=True):
                    self.place(image, slot, values)

    def of(self, batch: Sequence[int]) -> list[np.ndarray]:
        """Return nothing: maps are not kept."""
        return []

    def shared(self, batch: Sequence[int], matrices: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Return what other calls need of images: their maps, and their sides."""
        sides = np.array([self._inputs.sides[image] for image in batch], np.float32)
        return [*matrices, sides]

    @property
    def _input(self) -> np.ndarray:
        """Height and width of the network's input."""
        return np.array(self._inputs.opened.cnn.input_shape[:2], np.float64)

    def _seen(self, image: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of an image whose boxes are to be seen, and where: float64 (rows, 4)."""
        found = [
            (row, there)
            for row in self._inputs.images.rows(image)
            if not isinstance(there := where(self._inputs, image, int(row)), str)
        ]
        rows = np.array([row for row, _ in found], int)
        return rows, np.array([there for _, there in found], np.float64).reshape(-1, 4)


def where(inputs: Inputs, image: int, row: int) -> tuple[float, float, float, float] | str:
    """Return where a row's box lies in the network's input, or the reason why it lies nowhere.

    Args:
        inputs: of the call; the image's sides are known.
        image: the row's.
        row: the row.
    """
    assert inputs.boxes is not None  # noqa: S101 - rows of maps have them
    fault = inputs.boxes.fault(row)
    if fault is not None:
        return fault
    cnn, box, sides = inputs.opened.cnn, inputs.boxes.of(row), inputs.sides[image]
    shape, how = (cnn.input_shape[0], cnn.input_shape[1]), cnn.preprocessing.framing
    there = framing.in_input(box, sides, shape, how)
    if there is not None:
        return there
    if framing.cut_out(box, sides) is None:
        return regions.outside(box, sides)
    return regions.left_out(box, how.fit)


def tell_boxes(inputs: Inputs, reasons: Reasons) -> None:
    """Tell the rows whose image can be read why they have no box on it; where rows are boxes.

    Raises:
        UnreadableImageError: the order's `on_error` is 'raise'.
    """
    if inputs.boxes is None:
        return
    for image in range(len(inputs.images)):
        for row in inputs.images.rows(image):
            if reasons.present[row]:
                there = where(inputs, image, int(row))
                if isinstance(there, str):
                    reasons.tell_row(int(row), there)
