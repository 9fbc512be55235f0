"""From a column of images to one matrix per layer: distinct images, micro-batches, overlap."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vista_sql.errors import UnreadableImageError
from vista_sql.kernels import InferSpec

from . import _images, _sources
from ._arrow import Column, one_array
from ._clock import Spent
from ._columns import image_column
from ._runtime import Runtime
from ._sharing import Wanted
from ._uris import Unreadable

Infer = Callable[[np.ndarray], list[np.ndarray]]
"""uint8 (images, height, width, channels) → one float32 matrix (images, values) per layer."""

Ahead = Future["pa.Buffer | bytes"]
"""An image's encoded bytes being read before a thread is free to decode it."""

_Part = Future[tuple[list[str | None], Spent]]
"""A part of a batch being decoded: why its images cannot be read, and how long it took."""


@dataclass(slots=True)
class Layers:
    """What came out of a column of images; rows where `present` is False hold nothing."""

    matrices: list[np.ndarray | None]  # float32 (rows, values) per layer; None: no row has any
    present: np.ndarray  # bool (rows,)
    errors: pa.Array  # string: why a row's image cannot be read


class Images:
    """The distinct images of one call, in the order in which they first occur."""

    def __init__(self, images: Column, folder: str) -> None:
        encoded = one_array(images).dictionary_encode()
        self.values: pa.Array = encoded.dictionary
        self.folder = folder
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        self.not_null = codes >= 0
        rows = np.flatnonzero(self.not_null)
        order = np.argsort(codes[rows], kind="stable")
        self._rows = rows[order]
        self._starts = np.searchsorted(codes[rows][order], np.arange(len(self.values) + 1))
        self.last = int(codes[rows[-1]]) if len(rows) else -1

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, image: int) -> np.ndarray:
        """Return the rows that show one image, ascending."""
        return self._rows[self._starts[image] : self._starts[image + 1]]

    def identity(self, image: int) -> Hashable:
        """Return what equal images share within a process."""
        return _sources.identity(self.values[image], self.folder)

    def is_remote(self, image: int) -> bool:
        """Return whether one image waits for more than this machine's files."""
        value = self.values[image]
        return _sources.is_text(value) and _sources.local_path(value.as_py(), self.folder) is None

    def read(self, image: int) -> pa.Buffer | bytes:
        """Return the encoded bytes of one image; raises Unreadable."""
        return _sources.read(self.values[image], self.folder)

    def decode(
        self, image: int, order: str, out: _images.Pixels, spent: Spent, ahead: Ahead | None = None
    ) -> str | None:
        """Read (or take what was read `ahead`) and decode one image into `out`.

        Returns:
            the reason where it cannot be; else None.
        """
        began = read = time.perf_counter()
        try:
            data = self.read(image) if ahead is None else ahead.result()
            read = time.perf_counter()
            return _images.decode(data, order, out)
        except Unreadable as error:
            read = time.perf_counter()
            return str(error)
        finally:
            spent.read += read - began
            spent.decode += time.perf_counter() - read


class Pass:
    """One call's way through all its images; used once, by one thread."""

    def __init__(
        self, runtime: Runtime, spec: InferSpec, images: Images, keys: pa.Array, infer: Infer
    ) -> None:
        self._runtime, self._spec, self._images, self._keys = runtime, spec, images, keys
        self._infer = infer
        self._cnn = runtime.opened(spec).cnn
        self._rows = len(images.not_null)
        self._matrices: list[np.ndarray | None] = [None] * len(spec.layers)
        self._present = images.not_null.copy()
        self._reasons = np.full(self._rows, None, object)
        self._identities: list[Hashable] = []

    def run(self, scope: Hashable, batch_rows: int) -> Layers:
        """Infer every distinct image that no call has just inferred.

        Args:
            scope: what results must agree in to be exchanged between calls.
            batch_rows: the most images in one micro-batch.
        """
        images, runtime = self._images, self._runtime
        with runtime.clock(self._spec.run).waiting():  # as for the batches that follow
            identities = list(runtime.pool().map(images.identity, range(len(images))))
        self._identities = identities
        keys = [(scope, identity) for identity in identities]
        edges: set[Hashable] = {keys[0], keys[images.last]} if keys else set()
        given = runtime.sharing.join(keys)
        try:
            for batch, pixels, reasons in self._decoded(keys, given, batch_rows):
                for image, reason in zip(batch, reasons, strict=True):
                    self._note(image, identities[image], reason)
                good = [place for place, reason in enumerate(reasons) if reason is None]
                self._infer_batch([batch[i] for i in good], good, pixels, keys, given, edges)
        finally:
            runtime.sharing.leave(keys, given)
        n_images = int(images.not_null.sum())
        runtime.tally(self._spec.run, self._spec.call, self._rows, n_images)
        return Layers(self._matrices, self._present, pa.array(self._reasons, pa.string()))

    def _decoded(
        self, keys: Sequence[Hashable], given: Wanted, batch_rows: int
    ) -> Iterator[tuple[list[int], _images.Pixels, list[str | None]]]:
        """Yield decoded batches; the next one decodes while the caller infers this one."""
        waiting: list[tuple[list[int], _images.Pixels, list[_Part]]] = []
        clock = self._runtime.clock(self._spec.run)
        at = 0
        while at < len(keys) or waiting:
            while at < len(keys) and len(waiting) < 2:
                batch: list[int] = []
                while at < len(keys) and len(batch) < batch_rows:
                    if not self._take(at, keys[at], given):
                        batch.append(at)
                    at += 1
                if batch:
                    waiting.append(self._submit(batch))
            if waiting:
                batch, pixels, parts = waiting.pop(0)
                with clock.waiting() as wait:
                    done = [part.result() for part in parts]
                    wait.fetch = sum(spent.read for _, spent in done)
                    wait.prep = sum(spent.decode for _, spent in done)
                yield batch, pixels, [reason for reasons, _ in done for reason in reasons]

    def _submit(self, batch: list[int]) -> tuple[list[int], _images.Pixels, list[_Part]]:
        """Begin to read and decode a batch; remote images are read ahead, many at a time."""
        pixels = np.empty((len(batch), *self._cnn.input_shape), np.uint8)
        order = self._cnn.preprocessing.order
        images, readers = self._images, self._runtime.readers()
        keep, take = self._spec.keep, self._spec.take
        ahead = {i: readers.submit(images.read, i) for i in batch if images.is_remote(i)}

        def decode(start: int, stop: int) -> tuple[list[str | None], Spent]:
            spent = Spent()
            decoded = 0
            reasons: list[str | None] = []
            for i in range(start, stop):
                key = (self._identities[batch[i]], order, self._cnn.input_shape)
                if take and self._runtime.decoded.take(key, pixels[i]):
                    reasons.append(None)
                    continue
                reason = images.decode(batch[i], order, pixels[i], spent, ahead.get(batch[i]))
                reasons.append(reason)
                decoded += 1
                if keep and reason is None and _sources.is_stable(key[0]):
                    self._runtime.decoded.keep(key, pixels[i], keep)
            self._runtime.count(
                self._spec.run,
                decoded=decoded,
                read_seconds=spent.read,
                decode_seconds=spent.decode,
            )
            return reasons, spent

        size = max(1, -(-len(batch) // (4 * self._runtime.threads)))
        cuts = range(0, len(batch), size)
        pool = self._runtime.pool()
        parts = [pool.submit(decode, cut, min(cut + size, len(batch))) for cut in cuts]
        return batch, pixels, parts

    def _note(self, image: int, identity: Hashable, reason: str | None) -> None:
        rows = self._images.rows(image)
        if _sources.is_stable(identity):
            self._runtime.set_outcome((self._spec_order(), identity), reason)
        if reason is None:
            return
        self._present[rows] = False
        self._reasons[rows] = reason
        for row in rows:
            key = self._keys[int(row)].as_py()
            told = "" if key is None else str(key)
            self._runtime.unreadable(self._spec.run, told, reason, self._spec.call)
            if self._spec.on_error == "raise":
                raise UnreadableImageError("NULL" if key is None else str(key), reason)

    def _spec_order(self) -> str:
        return self._cnn.preprocessing.order

    def _infer_batch(
        self,
        batch: list[int],
        places: list[int],
        pixels: _images.Pixels,
        keys: Sequence[Hashable],
        given: Wanted,
        edges: set[Hashable],
    ) -> None:
        runtime = self._runtime
        with runtime.inference:
            left = [i for i, image in enumerate(batch) if not self._take(image, keys[image], given)]
            batch, places = [batch[i] for i in left], [places[i] for i in left]
            if not batch:
                return
            begun = time.perf_counter()
            chosen = pixels if len(places) == len(pixels) else pixels[places]
            with runtime.clock(self._spec.run).inferring():
                matrices = self._infer(chosen)
            seconds = time.perf_counter() - begun
            runtime.sharing.publish([keys[image] for image in batch], matrices, edges)
            for image in batch:  # ours, so not a gift
                given.pop(keys[image], None)
        runtime.count(
            self._spec.run,
            images_inferred=len(batch),
            batches=1,
            layer_evaluations=len(batch) * len(matrices),
            infer_seconds=seconds,
        )
        self._store(batch, matrices)

    def _take(self, image: int, key: Hashable, given: Wanted) -> bool:
        """Store what another call has inferred for us, if it has."""
        vectors = given.pop(key, None)
        if vectors is not None:
            self._store([image], [vector[None] for vector in vectors])
        return vectors is not None

    def _store(self, batch: Sequence[int], matrices: Sequence[np.ndarray]) -> None:
        """Copy results to every row that shows their image."""
        shown = [self._images.rows(image) for image in batch]
        rows = np.concatenate(shown)
        source = np.repeat(np.arange(len(batch)), [len(some) for some in shown])
        plain = len(rows) == len(batch)
        for slot, matrix in enumerate(matrices):
            out = self._matrices[slot]
            if out is None:
                out = self._matrices[slot] = np.empty((self._rows, matrix.shape[1]), np.float32)
            if plain and rows[-1] - rows[0] == len(rows) - 1:
                out[rows[0] : rows[-1] + 1] = matrix
            else:
                out[rows] = matrix if plain else matrix[source]


def infer_images(
    runtime: Runtime,
    spec: InferSpec,
    images: Column,
    keys: Column,
    kind: str,
    infer: Infer,
    batch_rows: int,
) -> Layers:
    """Infer a column of images; row i of the result is of row i.

    Args:
        runtime: shared by the process's kernels.
        spec: the order.
        images: BLOBs, or paths and URIs; NULL: no image, which is no error.
        keys: text that names the rows in errors; may be NULL.
        kind: of result ('features', 'maps'); results of different kinds are never exchanged.
        infer: runs the network; called under the runtime's inference lock.
        batch_rows: the most images in one micro-batch.

    Raises:
        UnreadableImageError: an image cannot be read and the spec asks to fail then.
    """
    opened = runtime.opened(spec)
    scope = (kind, opened.identity, spec.layers, spec.pool, spec.dtype, spec.device)
    found = Images(image_column(images, spec), spec.folder)
    return Pass(runtime, spec, found, one_array(keys), infer).run(scope, batch_rows)
