"""Why rows' images cannot be read: remembered by image, told by row, raised if so ordered."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pyarrow as pa

from vista_sql.errors import UnreadableImageError

from ..images import sources
from .inputs import Inputs


class Reasons:
    """The reasons of one call; `recall` and `remember` in any thread, the others in the call's."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._scope = (inputs.wanted, inputs.spec.decoding_bytes)
        self._reasons = np.full(inputs.images.n_rows, None, object)
        self.present: np.ndarray = inputs.images.not_null.copy()
        """bool (rows,): which rows have an image of which nothing bad is known."""

    def recall(self, image: int) -> tuple[bool, str | None]:
        """Return (known, reason) of an image that a call of this process has read."""
        return self._inputs.runtime.outcome(self._memory_key(image))

    def remember(self, image: int, reason: str | None) -> None:
        """Remember how reading an image went, for later calls; None: well."""
        if sources.is_stable(self._inputs.identities[image]):
            self._inputs.runtime.set_outcome(self._memory_key(image), reason)

    def tell(self, image: int, reason: str) -> None:
        """Give every row that shows an image the reason why it cannot be read.

        Raises:
            UnreadableImageError: the order's `on_error` is 'raise'.
        """
        rows = self._inputs.images.rows(image)
        self.present[rows] = False
        self._reasons[rows] = reason
        for row in rows:
            self.tell_row(int(row), reason)

    def tell_row(self, row: int, reason: str) -> None:
        """Give one row the reason why there is nothing to see.

        Raises:
            UnreadableImageError: the order's `on_error` is 'raise'.
        """
        runtime, spec = self._inputs.runtime, self._inputs.spec
        self.present[row] = False
        self._reasons[row] = reason
        key = self._inputs.keys[row].as_py()
        runtime.unreadable(spec.run, "" if key is None else str(key), reason, spec.call)
        if spec.on_error == "raise":
            raise UnreadableImageError("NULL" if key is None else str(key), reason)

    def column(self) -> pa.Array:
        """Return a string per row: the reason; NULL where the image is fine or there is none."""
        if not any(self._reasons):
            return pa.nulls(len(self._reasons), pa.string())
        return pa.array(self._reasons, pa.string())

    def _memory_key(self, image: int) -> Hashable:
        return (self._scope, self._inputs.identities[image])
