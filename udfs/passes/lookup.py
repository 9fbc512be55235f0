"""Images → what the feature store lacks of them; what it has goes to the results."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec import Struct

from vista_sql import store

from ..images.digests import crop_digest, digest
from .counts import Amounts
from .inputs import Inputs
from .outputs import Outputs
from .reader import Reader
from .results import Results
from .store_view import StoreView


class Sought(Struct, frozen=True):
    """What looking for one image came to."""

    reason: str | None = None  # why it cannot be read; None: no reason is known
    missing: tuple[int, ...] = ()  # slots of the outputs to infer; (): nothing is missing
    from_base: bool = False  # to be inferred from the base's raw map at hand, not from the image
    digest: bytes | None = (
        None  # of its bytes; None: not read, since there is no store, or no image
    )


class Lookup:
    """Looks images of one call up in the feature store; safe in any thread."""

    def __init__(
        self, inputs: Inputs, outputs: Outputs, view: StoreView | None, results: Results
    ) -> None:
        """Note where to look and where to put what is there.

        Args:
            inputs: of the call.
            outputs: what is looked for.
            view: of the store; None: there is none, so that all of every image is missing.
            results: take what is there. Outputs beyond their layers are only asked for.
        """
        self._inputs, self._outputs, self._view, self._results = inputs, outputs, view, results

    def look(self, images: Sequence[int], reader: Reader, amounts: Amounts) -> list[Sought]:
        """Return what each image came to; where there is a store, `reader` has read them all.

        Args:
            images: some of the call's.
            reader: reads them.
            amounts: seconds are added to.
        """
        if self._view is None:
            every_slot = tuple(range(len(self._outputs.by_slot)))
            return [Sought(None, every_slot, self._at_hand(image, every_slot)) for image in images]
        encoded = {image: reader.fetch(image) for image in images}
        began = time.perf_counter()
        wholes: dict[int, bytes] = {}  # by source
        digests = {
            image: self._digest(image, data, wholes)
            for image, (data, _) in encoded.items()
            if data is not None
        }
        lacks = self._view.look(
            list(digests), list(digests.values()), self._results.n_layers, self._results.place
        )
        amounts.store_seconds += time.perf_counter() - began
        by_image = dict(zip(digests, lacks, strict=True))
        sought = []
        for image, (_, reason) in encoded.items():
            if reason is not None:
                sought.append(Sought(reason=reason))
                continue
            missing = by_image[image].slots
            sought.append(
                Sought(
                    missing=missing,
                    from_base=self._at_hand(image, missing)
                    or (by_image[image].from_base and self._outputs.can_start_at_base(missing)),
                    digest=digests[image],
                )
            )
        return sought

    def _at_hand(self, image: int, missing: tuple[int, ...]) -> bool:
        """Return whether an image can start from a map that the call brings, or another lends."""
        borrows, maps = self._inputs.spec.borrows, self._inputs.runtime.maps
        there = self._inputs.has_base(image) or (
            bool(borrows) and maps.has(self._inputs.lent(image, borrows))
        )
        return there and bool(missing) and self._outputs.can_start_at_base(missing)

    def _digest(self, image: int, data: store.Buffer, wholes: dict[int, bytes]) -> bytes:
        identity, images = self._inputs.identities[image], self._inputs.images
        if isinstance(identity, bytes):
            return identity  # of a BLOB: its digest
        source, box = images.source(image), images.crop(image)
        if source not in wholes:
            wholes[source] = digest(data)
        return wholes[source] if box is None else crop_digest(wholes[source], box)
