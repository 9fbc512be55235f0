"""What images lack → one pass of the network per batch → results, other calls, the store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from vista_sql.kernels import Lending

from ..images import sources
from ..images.opencv import Pixels
from ..network.engine import Output
from .counts import Amounts
from .decoder import Decoder
from .inputs import Inputs
from .outputs import Outputs
from .reader import Reader
from .reasons import Reasons
from .results import Results
from .sharing import Exchange
from .store_view import StoreView
from .windows import Window


class Waiting(Struct, frozen=True):
    """An image that waits for a pass of the network."""

    image: int
    slots: tuple[int, ...]  # of the outputs that it lacks
    digest: bytes | None  # of its bytes; None: there is no store
    pixels: Pixels  # uint8 (images, height, width, channels): its window's
    place: int  # of the image in `pixels`; nothing stands there where it starts at the base


class Inferrer:
    """Infers what the images of one call lack; used by the call's thread.

    Images wait in groups that one pass serves: those that start at the image or at the base's
    raw map that is at hand, and need the network up to the same layer. What a pass inferred is
    committed to the store while the next one runs.
    """

    def __init__(
        self,
        inputs: Inputs,
        outputs: Outputs,
        *,
        view: StoreView | None,
        decoder: Decoder,
        exchange: Exchange,
        results: Results,
        reasons: Reasons,
    ) -> None:
        """Note what images go through.

        Args:
            inputs: of the call.
            outputs: what is asked for.
            view: of the store, where what is inferred is kept; None: there is none.
            decoder: for images whose stored raw map has gone.
            exchange: gives what other calls inferred, and takes what this one does.
            results: take what is inferred.
            reasons: why images cannot be read.
        """
        self._inputs, self._outputs, self._view = inputs, outputs, view
        self._decoder, self._exchange = decoder, exchange
        self._results, self._reasons = results, reasons
        self._groups: dict[tuple[bool, int], list[Waiting]] = {}  # by (from base, height)
        self._committing: Future[None] | None = None

    def close(self) -> None:
        """Wait for what is being committed, whatever comes of it."""
        if self._committing is not None:
            wait([self._committing])

    def add(self, window: Window) -> None:
        """Let the images of a window wait that lack anything."""
        for place, (image, sought) in enumerate(zip(window.images, window.sought, strict=True)):
            if sought.reason is None and sought.missing:
                key = (sought.from_base, self._outputs.height(sought.missing))
                self._groups.setdefault(key, []).append(
                    Waiting(image, sought.missing, sought.digest, window.pixels, place)
                )

    def infer(self, *, all_waiting: bool) -> None:
        """Infer batches of the images that wait.

        Args:
            all_waiting: short batches, too, and return when all is committed. Without a store there
                are no others: every window is a batch of its own, so that none waits for the next.

        Raises:
            StoreError: the store cannot be used and the spec says that it must.
        """
        short_too = all_waiting or self._view is None
        for (from_base, _), group in self._groups.items():
            while group and (short_too or len(group) >= self._inputs.batch_rows()):
                batch_rows = self._inputs.batch_rows()
                batch, group[:] = group[:batch_rows], group[batch_rows:]
                if from_base:
                    self._infer_from_base(batch)
                else:
                    self._infer_batch(batch, None)
        if all_waiting:
            self._await_commit()

    def _infer_from_base(self, batch: Sequence[Waiting]) -> None:
        """Infer images from the base's raw maps; one whose map has gone, from its pixels."""
        maps, gone = {}, []
        for waiting, values in zip(batch, self._base_maps(batch), strict=True):
            if values is not None:
                maps[waiting.image] = values
            elif (decoded := self._decoded(waiting)) is not None:
                gone.append(decoded)
        if gone:
            self._infer_batch(gone, None)
        if maps:
            self._infer_batch([waiting for waiting in batch if waiting.image in maps], maps)

    def _base_maps(self, batch: Sequence[Waiting]) -> list[np.ndarray | None]:
        """Return the base's raw map of each image: the call's own, lent, or from the store."""
        inputs, borrows = self._inputs, self._inputs.spec.borrows
        maps = [inputs.base_map(waiting.image) for waiting in batch]
        if borrows:
            lent = inputs.runtime.maps
            maps = [lent.take(inputs.lent(waiting.image, borrows)) for waiting in batch]
        if self._view is not None:
            sought = {
                place: waiting.digest
                for place, waiting in enumerate(batch)
                if maps[place] is None and waiting.digest is not None
            }
            for place, values in zip(sought, self._view.maps([*sought.values()]), strict=True):
                maps[place] = values
        return maps

    def _decoded(self, waiting: Waiting) -> Waiting | None:
        """Return an image with pixels of its own; None: it cannot be read, which was told."""
        pixels = np.empty((1, *self._decoder.shape), np.uint8)
        reader, amounts = Reader(self._inputs), Amounts()
        reason = self._decoder.decode(waiting.image, pixels[0], reader, amounts)
        amounts.read_seconds = reader.seconds
        self._inputs.runtime.count(self._inputs.spec.run, **amounts.by_name())
        self._reasons.remember(waiting.image, reason)
        if reason is not None:
            self._reasons.tell(waiting.image, reason)
            return None
        return replace(waiting, pixels=pixels, place=0)

    def _infer_batch(self, batch: Sequence[Waiting], maps: Mapping[int, np.ndarray] | None) -> None:
        """Infer what images lack in one pass, hand it on, and keep it in the store.

        Args:
            batch: images that need the same part of the network.
            maps: of each image the base's raw map, float32 (values,); None: start at the pixels.
        """
        inputs, runtime = self._inputs, self._inputs.runtime
        network = inputs.network()
        start = None if maps is None else inputs.spec.base
        slots = sorted({slot for waiting in batch for slot in waiting.slots})
        outputs = [self._outputs.by_slot[slot] for slot in slots] + self._outputs.beside(start)
        is_whole = len(slots) == self._results.n_layers  # else the rest came from the store
        runtime.raise_if_cancelled()
        with runtime.inference:
            batch = self._still_waiting(batch)
            if not batch:
                return
            images = [waiting.image for waiting in batch]
            values = _pixels(batch) if maps is None else np.stack([maps[i] for i in images])
            began = time.perf_counter()
            with runtime.clock(inputs.spec.run).inferring():
                matrices, lent = self._run(start, outputs, values)
            seconds = time.perf_counter() - began
            if is_whole:  # before another call, which waits here, infers the same
                shared = self._results.shared(images, matrices[: len(slots)])
                self._exchange.publish(images, shared)
        runtime.count(
            inputs.spec.run,
            images_inferred=len(images),
            images_resumed=0 if maps is None else len(images),
            batches=1,
            layer_evaluations=len(images) * len(matrices),
            infer_seconds=seconds,
        )
        self._lend(images, lent)
        self._results.put(images, slots, matrices)
        if not is_whole and (known := self._results.of(images)):
            self._exchange.publish(images, known)
        self._keep(batch, outputs, matrices, on_gpu=network.on_gpu)

    def _run(
        self, start: str | None, outputs: Sequence[Output], values: np.ndarray
    ) -> tuple[list[np.ndarray], dict[Lending, np.ndarray]]:
        """Run the network up to each layer whose maps are lent, and on from it to what is above.

        Returns:
            Float32 (images, values) per output, and per layer that is lent.
        """
        network, follow = self._inputs.network(), self._outputs.follow
        found: dict[Output, np.ndarray] = {}
        lent: dict[Lending, np.ndarray] = {}
        left = list(outputs)
        for lending in self._inputs.spec.lends:
            layer = lending.layer
            if start is not None and (layer == start or not follow(start, [layer])):
                continue
            above = [one for one in left if one[0] != layer and follow(layer, [one[0]])]
            here = list(
                dict.fromkeys([*(one for one in left if one not in above), (layer, "none")])
            )
            found |= zip(here, network.run(start, here, values), strict=True)
            start, left = layer, above
            values = lent[lending] = found[layer, "none"]
        if left:
            found |= zip(left, network.run(start, left, values), strict=True)
        return [found[output] for output in outputs], lent

    def _lend(self, images: Sequence[int], lent: Mapping[Lending, np.ndarray]) -> None:
        """Lend raw maps to later calls of networks that begin alike."""
        inputs = self._inputs
        for lending, matrix in lent.items():
            for image, values in zip(images, matrix, strict=True):
                if sources.is_stable(inputs.identities[image]):
                    key = inputs.lent(image, lending.computation)
                    inputs.runtime.maps.put(key, values, lending.takers, inputs.spec.run)

    def _still_waiting(self, batch: Sequence[Waiting]) -> list[Waiting]:
        """Return the images that no other call has inferred by now."""
        return [
            waiting
            for waiting in batch
            if not self._results.accept(waiting.image, self._exchange.take(waiting.image))
        ]

    def _keep(
        self,
        batch: Sequence[Waiting],
        outputs: Sequence[Output],
        matrices: Sequence[np.ndarray],
        *,
        on_gpu: bool,
    ) -> None:
        """Begin to commit what was inferred to the store, when the pass before is committed."""
        view, runtime, run = self._view, self._inputs.runtime, self._inputs.spec.run
        if view is None:
            return
        digests = [waiting.digest for waiting in batch if waiting.digest is not None]

        def commit() -> None:
            began = time.perf_counter()
            view.keep(digests, outputs, matrices, on_gpu=on_gpu)
            runtime.count(run, keep_seconds=time.perf_counter() - began)

        self._await_commit()
        self._committing = runtime.threads.committer().submit(commit)

    def _await_commit(self) -> None:
        committing, self._committing = self._committing, None
        if committing is not None:
            committing.result()


def _pixels(batch: Sequence[Waiting]) -> Pixels:
    """Return images' pixels, (images, height, width, channels); a whole window's without a copy."""
    window = batch[0].pixels
    if len(batch) == len(window) and all(
        waiting.pixels is window and waiting.place == place for place, waiting in enumerate(batch)
    ):
        return window
    return np.stack([waiting.pixels[waiting.place] for waiting in batch])
