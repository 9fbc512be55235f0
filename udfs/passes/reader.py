"""Images → their encoded bytes, or the reason why there are none."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import TypeAlias

import pyarrow as pa

from ..images.paths import Unreadable
from .inputs import Inputs

Encoded: TypeAlias = tuple[pa.Buffer | bytes | None, str | None]
"""An image's bytes and None; or None and the reason why there are none."""

Ahead: TypeAlias = Mapping[int, "Future[pa.Buffer | bytes]"]
"""Images whose bytes are being read before a thread is free to decode them."""


def read_ahead(inputs: Inputs, images: Iterable[int]) -> Ahead:
    """Begin to read those of some images that are remote, many at a time."""

    def read(image: int) -> pa.Buffer | bytes:
        inputs.runtime.raise_if_cancelled()
        return inputs.images.read(image)

    readers = inputs.runtime.threads.readers()
    return {i: readers.submit(read, i) for i in images if inputs.images.is_remote(i)}


class Reader:
    """Reads images, each once; used by one thread. It holds bytes until they are taken."""

    def __init__(self, inputs: Inputs, ahead: Ahead) -> None:
        self._inputs, self._ahead = inputs, ahead
        self._encoded: dict[int, Encoded] = {}
        self.seconds = 0.0
        """How long the thread waited for bytes."""

    def fetch(self, image: int) -> Encoded:
        """Return an image's bytes and hold them."""
        if image not in self._encoded:
            self._inputs.runtime.raise_if_cancelled()
            began = time.perf_counter()
            self._encoded[image] = self._read(image)
            self.seconds += time.perf_counter() - began
        return self._encoded[image]

    def take(self, image: int) -> Encoded:
        """Return an image's bytes and hold them no longer."""
        self.fetch(image)
        return self._encoded.pop(image)

    def _read(self, image: int) -> Encoded:
        try:
            if image in self._ahead:
                return self._ahead[image].result(), None
            return self._inputs.images.read(image), None
        except Unreadable as error:
            return None, str(error)
