"""Images' values, in any order and from several threads → a matrix per layer, a row per row."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from ..images.distinct_images import DistinctImages
from .sharing import Vectors


class Results:
    """What is known of a call's rows; each image's rows are written by one thread."""

    def __init__(self, images: DistinctImages, n_layers: int) -> None:
        self._images = images
        self.matrices: list[np.ndarray | None] = [None] * n_layers
        """float32 (rows, values) per layer; None until there is a value."""
        self._making = threading.Lock()

    @property
    def n_layers(self) -> int:
        """How many layers are asked for."""
        return len(self.matrices)

    def place(self, image: int, slot: int, values: np.ndarray) -> bool:
        """Copy an image's values to every row that shows it; False: they are not this layer's."""
        out = self._matrix(slot, len(values))
        if out.shape[1] != len(values):
            return False
        out[self._images.rows(image)] = values
        return True

    def accept(self, image: int, vectors: Vectors | None) -> bool:
        """Copy an image's values of all layers, as another call gave them; False: it gave none."""
        if vectors is None:
            return False
        self.put([image], range(len(vectors)), [vector[None] for vector in vectors])
        return True

    def put(
        self, batch: Sequence[int], slots: Sequence[int], matrices: Sequence[np.ndarray]
    ) -> None:
        """Copy results to every row that shows their image.

        Args:
            batch: the images.
            slots: the layers' places; those beyond the layers asked for have no rows.
            matrices: float32 (images, values), one per slot; what follows is passed over.
        """
        rows_of_images = [self._images.rows(image) for image in batch]
        rows = np.concatenate(rows_of_images)
        source = np.repeat(np.arange(len(batch)), [len(some) for some in rows_of_images])
        plain = len(rows) == len(batch)
        for slot, matrix in zip(slots, matrices, strict=False):
            if slot >= self.n_layers:
                continue
            out = self._matrix(slot, matrix.shape[1])
            if plain and rows[-1] - rows[0] == len(rows) - 1:
                out[rows[0] : rows[-1] + 1] = matrix
            else:
                out[rows] = matrix if plain else matrix[source]

    def of(self, batch: Sequence[int]) -> list[np.ndarray]:
        """Return copies of images' results, float32 (images, values) per layer; all are known."""
        rows = [int(self._images.rows(image)[0]) for image in batch]
        return [matrix[rows] for matrix in self.matrices if matrix is not None]

    def shared(self, batch: Sequence[int], matrices: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Return what other calls need of images, float32 (images, values) each.

        Args:
            batch: the images.
            matrices: float32 (images, values), one per layer.
        """
        return matrices

    def _matrix(self, slot: int, n_values: int) -> np.ndarray:
        with self._making:
            out = self.matrices[slot]
            if out is None:
                out = np.empty((self._images.n_rows, n_values), np.float32)
                self.matrices[slot] = out
            return out
