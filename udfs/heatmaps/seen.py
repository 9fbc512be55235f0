"""What a method makes of a batch of images before it is known which class is explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa

from vista_sql.train.chunks import Floats


class Seen(Protocol):
    """A batch of rows whose images were inferred."""

    @property
    def features(self) -> np.ndarray | None:
        """(rows, values) float32 of the model's layer; None: no row has an image."""

    @property
    def present(self) -> np.ndarray:
        """(rows,) bool: which rows have features."""

    @property
    def errors(self) -> pa.Array:
        """Why a row's image cannot be read, as text."""

    def heatmaps(self, weights: Mapping[int, Floats]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield rows with their maps (height, width).

        Args:
            weights: (values,) by row, each of one that is present.
        """
