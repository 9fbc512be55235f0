"""Images → their encoded bytes, or the reason why there are none."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future
from typing import TypeAlias

import pyarrow as pa

from ..images.memory import Share
from ..images.paths import Unreadable
from .inputs import Inputs

Data: TypeAlias = pa.Buffer | bytes
Encoded: TypeAlias = tuple[Data | None, str | None]
"""An image's bytes and None; or None and the reason why there are none."""

PORTION_BYTES = 8 << 20
"""Of encoded bytes that one thread holds before it decodes them, but for the last image's."""


class Ahead:
    """Images whose bytes are being read before a thread is free to decode them."""

    def __init__(self, inputs: Inputs, images: Iterable[int]) -> None:
        """Begin to read those of some images that are remote, many at a time."""
        readers = inputs.runtime.threads.readers()
        self._reads: dict[int, tuple[Share, Future[Data]]] = {}
        for image in images:
            source = inputs.images.source(image)
            if source not in self._reads and inputs.images.is_remote(image):
                share = inputs.runtime.in_flight.share()
                self._reads[source] = share, readers.submit(self._read, inputs, image, share)

    @staticmethod
    def _read(inputs: Inputs, image: int, share: Share) -> Data:
        inputs.runtime.raise_if_cancelled()
        try:
            return inputs.images.read(image, share.grow)
        except BaseException:
            share.release()
            raise

    def __len__(self) -> int:
        return len(self._reads)

    def take(self, source: int, holder: object) -> tuple[Share, Data] | None:
        """Return what a source holds and its bytes; None: nobody has begun to read it.

        Raises:
            Unreadable: there are none.
        """
        share, future = self._reads.pop(source, (None, None))
        if share is None or future is None or future.cancel():
            return None
        share.want(holder)
        return share, future.result()

    def drop(self, sources: Iterable[int]) -> None:
        """Let go of what nobody took."""
        for source in sources:
            share, future = self._reads.pop(source, (None, None))
            if share is not None and future is not None:
                future.cancel()
                share.release()


class Reader:
    """Reads images, each once; used by one thread. It holds bytes until they are taken.

    Crops of an image are read from one source, and share its bytes.
    """

    def __init__(self, inputs: Inputs, ahead: Ahead | None = None) -> None:
        """Note what is read.

        Args:
            inputs: of the call.
            ahead: images that are being read already.
        """
        self._inputs, self._ahead = inputs, ahead
        self._encoded: dict[int, Encoded] = {}  # by source
        self._shares: dict[int, Share] = {}  # likewise
        self.seconds = 0.0
        """How long the thread waited for bytes."""

    def portions(self, images: Sequence[int], *, fetched: bool) -> Generator[Sequence[int]]:
        """Yield images in groups whose bytes are held at once; then all are let go of.

        Args:
            images: some of the call's.
            fetched: whether the bytes are needed before any is decoded; else there is one group.
        """
        try:
            if not fetched:
                yield images
                return
            portion: list[int] = []
            for image in images:
                portion.append(image)
                self.fetch(image)
                if sum(share.n_bytes for share in self._shares.values()) >= PORTION_BYTES:
                    yield portion
                    self._let_go_of_all()
                    portion = []
            if portion:
                yield portion
        finally:
            self._let_go_of_all()
            if self._ahead is not None:
                self._ahead.drop(map(self._inputs.images.source, images))

    def fetch(self, image: int) -> Encoded:
        """Return an image's bytes and hold them."""
        source = self._inputs.images.source(image)
        if source not in self._encoded:
            self._inputs.runtime.raise_if_cancelled()
            began = time.perf_counter()
            self._encoded[source] = found = self._read(image, source)
            self.seconds += time.perf_counter() - began
            self._inputs.see(image, found[0])
        return self._encoded[source]

    def take(self, image: int) -> Encoded:
        """Return an image's bytes, which count as held until `let_go`."""
        self.fetch(image)
        return self._encoded.pop(self._inputs.images.source(image))

    def let_go(self, image: int) -> None:
        """Count an image's bytes as held no longer: it is decoded."""
        self._let_go_of(self._inputs.images.source(image))

    def _let_go_of(self, source: int) -> None:
        self._encoded.pop(source, None)
        share = self._shares.pop(source, None)
        if share is not None:
            share.release()

    def _let_go_of_all(self) -> None:
        for source in list(self._shares):
            self._let_go_of(source)
        self._encoded.clear()

    def _read(self, image: int, source: int) -> Encoded:
        """Read an image."""
        try:
            taken = None if self._ahead is None else self._ahead.take(source, self)
            if taken is not None:
                self._shares[source], data = taken
                return data, None
            share = self._inputs.runtime.in_flight.share(self)
            self._shares[source] = share
            return self._inputs.images.read(image, share.grow), None
        except Unreadable as error:
            return None, str(error)
