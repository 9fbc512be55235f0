"""An image's encoded bytes → its pixels, as the network of the call takes them."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence

import pyarrow as pa

from vista_sql.errors import ArgumentError
from vista_sql.kernels import MOST_DECODING_BYTES

from ..images import decoding, prepared, sources
from ..images.framing import Box
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
        (reason,) = self.decode_together([image], [out], reader, amounts)
        return reason

    def decode_together(
        self, images: Sequence[int], outs: Sequence[Pixels], reader: Reader, amounts: Amounts
    ) -> list[str | None]:
        """Write the pixels of images of one source: one image, or what is cut out of it.

        Args:
            images: the images; their source is decoded once.
            outs: for each, as `decode`'s.
            reader: reads the source.
            amounts: seconds and images are added to.

        Returns:
            For each None, or the reason why there is no image.

        Raises:
            ArgumentError: as `decode`.
        """
        runtime, spec = self._inputs.runtime, self._inputs.spec
        runtime.raise_if_cancelled()
        reasons: list[str | None] = [None] * len(images)
        keys = [
            (self._inputs.identities[image], self._order, self._framing, self.shape)
            for image in images
        ]
        places = [
            place
            for place, (key, out) in enumerate(zip(keys, outs, strict=True))
            if not (spec.pixels_taken and self._is_lent(key, out))
        ]
        if not places:
            return reasons
        try:
            data, reason = reader.take(images[places[0]])
            if data is None:
                found = [reason] * len(places)
            else:
                began = time.perf_counter()
                found = self._pixels(
                    data, [(self._inputs.images.crop(images[i]), outs[i]) for i in places]
                )
                amounts.decode_seconds += time.perf_counter() - began
                amounts.decoded += not prepared.is_one(data)
        except ArgumentError as error:
            row = int(self._inputs.images.rows(images[places[0]])[0])
            key = self._inputs.keys[row].as_py()
            raise ArgumentError(f"key {key!r}: {error.message}") from None
        finally:
            reader.let_go(images[places[0]])
        for place, reason in zip(places, found, strict=True):
            reasons[place] = reason
            stable = sources.is_stable(self._inputs.identities[images[place]])
            if spec.pixels_kept_for and reason is None and stable:
                runtime.decoded.put(keys[place], outs[place], spec.pixels_kept_for)
        return reasons

    def _is_lent(self, key: Hashable, out: Pixels) -> bool:
        """Copy the pixels that an earlier call lends, if it does."""
        lent = self._inputs.runtime.decoded.take(key)
        if lent is not None:
            out[:] = lent
        return lent is not None

    def _pixels(
        self, data: pa.Buffer | bytes, wanted: Sequence[tuple[Box | None, Pixels]]
    ) -> list[str | None]:
        """Decode a source: all of it to the one array, or what boxes cut out of it to each."""
        crops = [(box, out) for box, out in wanted if box is not None]
        if crops:
            return decoding.decode_crops(data, self._order, crops, self._most_bytes, self._framing)
        ((_, out),) = wanted
        return [decoding.decode(data, self._order, out, self._most_bytes, self._framing)]
