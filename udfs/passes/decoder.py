"""An image's encoded bytes → its pixels, as the network of the call takes them."""

from __future__ import annotations

import time

from vista_sql.errors import ArgumentError
from vista_sql.kernels import MOST_DECODING_BYTES

from ..images import decoding, prepared, sources
from ..images.opencv import Pixels
from .counts import Amounts
from .inputs import Inputs
from .reader import Reader


class Decoder:
    """Decodes images of one call; safe in any thread."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        wanted = inputs.wanted
        self._order, self._framing = wanted.order, wanted.framing
        self.shape: tuple[int, int, int] = wanted.shape
        """Height, width and channels of an image's pixels."""
        self._most_bytes = inputs.spec.decoding_bytes or MOST_DECODING_BYTES

    def decode(self, image: int, out: Pixels, reader: Reader, amounts: Amounts) -> str | None:
        """Write an image's pixels to `out`: decoded, or taken from an earlier call.

        Args:
            image: the image.
            out: uint8, of `shape`.
            reader: reads the image.
            amounts: seconds and images are added to.

        Returns:
            None, or the reason why there is no image; `out` is then undefined.

        Raises:
            ArgumentError: it was prepared for another input; with the key of a row that shows it.
        """
        runtime, spec = self._inputs.runtime, self._inputs.spec
        runtime.raise_if_cancelled()
        identity = self._inputs.identities[image]
        key = (identity, self._order, self._framing, self.shape)
        if spec.pixels_taken and runtime.decoded.take(key, out):
            return None
        try:
            data, reason = reader.take(image)
            if data is not None:
                began = time.perf_counter()
                reason = decoding.decode(data, self._order, out, self._most_bytes, self._framing)
                amounts.decode_seconds += time.perf_counter() - began
                amounts.decoded += not prepared.is_one(data)
        except ArgumentError as error:
            row = int(self._inputs.images.rows(image)[0])
            key = self._inputs.keys[row].as_py()
            raise ArgumentError(f"key {key!r}: {error.message}") from None
        finally:
            reader.let_go(image)
        if spec.pixels_kept_for and reason is None and sources.is_stable(identity):
            runtime.decoded.put(key, out, spec.pixels_kept_for)
        return reason
