"""The images of a call → windows of them, looked up and decoded in threads, ahead of inference."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from itertools import groupby

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from ..images.opencv import Pixels
from .counts import Amounts
from .decoder import Decoder
from .inputs import Inputs
from .lookup import Lookup, Sought
from .reader import Ahead, Reader
from .results import Results
from .sharing import Exchange

UNPLANNED_ROWS = 32  # images of a window where neither plan nor network says a batch's length
AHEAD = 2  # windows that have pixels at once: the one that is inferred, and the next


class Window(Struct, frozen=True):
    """Some images, each with what looking for it came to."""

    images: Sequence[int]
    sought: Sequence[Sought]
    pixels: Pixels  # uint8 (images, height, width, channels); defined where decoded


class _Pending(Struct, frozen=True):
    """A window whose parts are under way in threads."""

    images: Sequence[int]
    pixels: Pixels
    parts: Sequence[Future[tuple[list[Sought], Amounts]]]


def parts(sources: Sequence[int], rows: int) -> list[slice]:
    """Cut a window into parts of at least so many rows, none of them within one source.

    Args:
        sources: of the images.
        rows: of a part.

    Example: three crops of an image, then two of another
        >>> parts([4, 4, 4, 7, 7], 2), parts([1, 2, 3], 2)
        ([slice(0, 3, None), slice(3, 5, None)], [slice(0, 2, None), slice(2, 3, None)])
    """
    cuts, start = [], 0
    for end in range(1, len(sources) + 1):
        is_whole = end == len(sources) or sources[end] != sources[end - 1]
        if is_whole and (end - start >= rows or end == len(sources)):
            cuts.append(slice(start, end))
            start = end
    return cuts


class Windows:
    """Iterates over the windows of a call; the next one is decoded while this one is inferred."""

    def __init__(
        self,
        inputs: Inputs,
        *,
        has_store: bool,
        lookup: Lookup,
        decoder: Decoder,
        exchange: Exchange,
        results: Results,
    ) -> None:
        """Note what each window goes through.

        Args:
            inputs: of the call.
            has_store: whether there is anything to look up.
            lookup: what every image goes through first.
            decoder: what an image goes through of which something is missing.
            exchange: gives what other calls inferred; such an image is in no window.
            results: take what is given.
        """
        self._inputs, self._has_store = inputs, has_store
        self._lookup, self._decoder = lookup, decoder
        self._exchange, self._results = exchange, results

    def __iter__(self) -> Iterator[Window]:
        """Yield all images but those whose results another call gave."""
        clock = self._inputs.runtime.clock(self._inputs.spec.run)
        n_images, next_image = len(self._inputs.images), 0
        under_way: deque[_Pending] = deque()
        while next_image < n_images or under_way:
            while next_image < n_images and len(under_way) < AHEAD:
                images: list[int] = []
                window_rows = self._window_rows()
                while next_image < n_images and len(images) < window_rows:
                    if not self._results.accept(next_image, self._exchange.take(next_image)):
                        images.append(next_image)
                    next_image += 1
                if images:
                    under_way.append(self._begin(images))
            if under_way:
                pending = under_way.popleft()
                with clock.waiting() as wait:
                    done = [part.result() for part in pending.parts]
                    wait.fetch = sum(amounts.read_seconds for _, amounts in done)
                    wait.prep = sum(amounts.decode_seconds for _, amounts in done)
                sought = [one for part, _ in done for one in part]
                yield Window(pending.images, sought, pending.pixels)

    def _window_rows(self) -> int:
        """Return how many images make a window; where there is a store, loads no network for it."""
        spec, runtime = self._inputs.spec, self._inputs.runtime
        if spec.batch_rows or not self._has_store or runtime.is_loaded(spec):
            return self._inputs.batch_rows()
        return UNPLANNED_ROWS

    def _begin(self, images: Sequence[int]) -> _Pending:
        """Begin to look up and decode images; remote ones are read ahead, many at a time."""
        threads = self._inputs.runtime.threads
        pixels = np.empty((len(images), *self._decoder.shape), np.uint8)
        ahead = Ahead(self._inputs, images)
        part_rows = max(1, -(-len(images) // (4 * threads.n_decoders)))
        cuts = parts([self._inputs.images.source(image) for image in images], part_rows)
        decoders = threads.decoders()
        under_way = [decoders.submit(self._part, images[cut], pixels[cut], ahead) for cut in cuts]
        return _Pending(images, pixels, under_way)

    def _part(
        self, images: Sequence[int], pixels: Pixels, ahead: Ahead
    ) -> tuple[list[Sought], Amounts]:
        """Look a part of a window up, and decode what must be inferred from the image."""
        reader, amounts = Reader(self._inputs, ahead), Amounts()
        sought: list[Sought] = []
        with closing(reader.portions(images, fetched=self._has_store)) as portions:
            for portion in portions:
                found = self._lookup.look(portion, reader, amounts)
                needed = [i for i, one in enumerate(found) if one.missing and not one.from_base]
                origins = [self._inputs.images.source(image) for image in portion]
                for _, group in groupby(needed, origins.__getitem__):
                    some = list(group)
                    outs = [pixels[len(sought) + i] for i in some]
                    of_one = [portion[i] for i in some]
                    reasons = self._decoder.decode_together(of_one, outs, reader, amounts)
                    for i, reason in zip(some, reasons, strict=True):
                        found[i] = replace(found[i], reason=reason)
                sought += found
        amounts.read_seconds = reader.seconds
        amounts.images_from_store = len([s for s in sought if s.reason is None and not s.missing])
        self._inputs.runtime.count(self._inputs.spec.run, **amounts.by_name())
        return sought, amounts
