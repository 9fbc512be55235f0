"""From a column of images to one matrix per layer: store, micro-batches, overlap."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from vista_sql import store
from vista_sql.errors import PlanError, UnreadableImageError
from vista_sql.kernels import InferSpec

from ..images import decoding, distinct, sources
from ..images.columns import image_column
from ..images.distinct import Ahead, Images
from ..network import hog
from ..network.networks import Network, Output
from .arrow import Column, one_array
from .clock import Spent
from .results import Results
from .runtime import Runtime
from .sharing import Wanted
from .stored import Stored

WINDOW_ROWS = 32  # images looked up at once where neither plan nor network says a batch's length


@dataclass(slots=True)
class Layers:
    """What came out of a column of images; rows where `present` is False hold nothing."""

    matrices: list[np.ndarray | None]  # float32 (rows, values) per layer; None: no row has any
    present: np.ndarray  # bool (rows,)
    errors: pa.Array  # string: why a row's image cannot be read


@dataclass(slots=True)
class _Found:
    """What looking for one image came to: a reason, or the outputs to infer and from what."""

    reason: str | None = None  # why it cannot be read
    slots: tuple[int, ...] = ()
    from_base: bool = False


@dataclass(slots=True)
class _Window:
    """Some images being looked up and, where anything is missing, decoded."""

    images: list[int]
    pixels: decoding.Pixels
    parts: list[Future[tuple[list[_Found], Spent]]]


@dataclass(slots=True)
class _Group:
    """Images that one pass of the network serves."""

    images: list[int] = field(default_factory=list)
    pixels: list[tuple[decoding.Pixels, int]] = field(default_factory=list)  # none from the base
    slots: list[tuple[int, ...]] = field(default_factory=list)

    def first(self, n: int) -> _Group:
        """Take out the first `n` images."""
        taken = _Group(self.images[:n], self.pixels[:n], self.slots[:n])
        del self.images[:n], self.pixels[:n], self.slots[:n]
        return taken


class Pass:
    """One call's way through all its images; used once, by one thread."""

    def __init__(
        self,
        runtime: Runtime,
        spec: InferSpec,
        images: Images,
        keys: pa.Array,
        pool: str,
        *,
        insist: bool = False,
    ) -> None:
        """Read nothing.

        Args:
            runtime: shared by the process's kernels.
            spec: the order.
            images: the images.
            keys: text that names the rows in errors; may be NULL.
            pool: of the outputs, one of vista_sql.kernels.POOLS.
            insist: infer an image for the layers to materialize, if only they are missing.
        """
        self._runtime, self._spec, self._images, self._keys = runtime, spec, images, keys
        opened = runtime.opened(spec)
        self._cnn = opened.cnn
        self._rows = len(images.not_null)
        self._results = Results(images, len(spec.layers))
        self._present = images.not_null.copy()
        self._reasons = np.full(self._rows, None, object)
        self._identities: list[Hashable] = []
        self.digests: list[bytes | None] = [None] * len(images)  # of images that could be read
        self._outputs: list[Output] = [(layer, pool) for layer in spec.layers]
        raw: list[Output] = [(layer, "none") for layer in spec.materialize]
        self._raw = [output for output in raw if output not in self._outputs]
        if insist:
            self._outputs, self._raw = self._outputs + self._raw, []
        height = {layer.name: place for place, layer in enumerate(self._cnn.layers)}
        self._height = [height.get(layer, -1) for layer, _ in self._outputs]
        kept = runtime.store(spec)
        self.stored: Stored | None = None
        if kept is not None:
            self.stored = Stored(kept, spec, opened, self._outputs, runtime.unusable)

    def run(self, scope: Hashable) -> Layers:
        """Infer every distinct image that neither the store nor a recent call has.

        Args:
            scope: what results must agree in to be exchanged between calls.
        """
        images, runtime, spec = self._images, self._runtime, self._spec
        with runtime.clock(spec.run).waiting():  # as for the batches that follow
            self._identities = list(runtime.pool().map(images.identity, range(len(images))))
        keys = [(scope, identity) for identity in self._identities]
        edges: set[Hashable] = {keys[0], keys[images.last]} if keys else set()
        given = runtime.sharing.join(keys)
        groups: dict[tuple[bool, int], _Group] = {}
        try:
            for window, found in self._looked_up(keys, given):
                for place, (image, one) in enumerate(zip(window.images, found, strict=True)):
                    self._note(image, one.reason)
                    if one.reason is None and one.slots:
                        key = (one.from_base, max(self._height[slot] for slot in one.slots))
                        group = groups.setdefault(key, _Group())
                        group.images.append(image)
                        group.slots.append(one.slots)
                        group.pixels.append((window.pixels, place))
                for (from_base, _), group in groups.items():
                    while len(group.images) >= self._batch_rows() or (
                        group.images and self.stored is None
                    ):
                        batch = group.first(self._batch_rows())
                        self._infer_group(batch, from_base, keys, given, edges)
            for (from_base, _), group in groups.items():
                if group.images:
                    self._infer_group(group, from_base, keys, given, edges)
        finally:
            runtime.sharing.leave(keys, given)
        n_images = int(images.not_null.sum())
        runtime.tally(spec.run, spec.call, self._rows, n_images)
        return Layers(self._results.matrices, self._present, pa.array(self._reasons, pa.string()))

    def _network(self) -> Network | hog.Hog:
        return self._runtime.network(self._spec)

    def _batch_rows(self) -> int:
        """Return the most images of one pass of the network."""
        return self._spec.batch_rows or self._network().batch_rows

    def _window_rows(self) -> int:
        """Return how many images are looked up at once; needs no network where there is a store."""
        if self._spec.batch_rows or self.stored is None or self._runtime.is_loaded(self._spec):
            return self._batch_rows()
        return WINDOW_ROWS

    # ── reading, looking up, decoding ───────────────────────────────────────────────────────────

    def _looked_up(
        self, keys: Sequence[Hashable], given: Wanted
    ) -> Iterator[tuple[_Window, list[_Found]]]:
        """Yield windows; the next one is looked up and decoded while the caller infers this one."""
        waiting: deque[_Window] = deque()
        clock = self._runtime.clock(self._spec.run)
        at = 0
        while at < len(keys) or waiting:
            while at < len(keys) and len(waiting) < 2:
                images: list[int] = []
                window_rows = self._window_rows()
                while at < len(keys) and len(images) < window_rows:
                    if not self._take(at, keys[at], given):
                        images.append(at)
                    at += 1
                if images:
                    waiting.append(self._submit(images))
            if waiting:
                window = waiting.popleft()
                with clock.waiting() as wait:
                    done = [part.result() for part in window.parts]
                    wait.fetch = sum(spent.read for _, spent in done)
                    wait.prep = sum(spent.decode for _, spent in done)
                yield window, [found for some, _ in done for found in some]

    def _submit(self, images: list[int]) -> _Window:
        """Begin to look up and decode images; remote ones are read ahead, many at a time."""
        pixels = np.empty((len(images), *self._cnn.input_shape), np.uint8)
        readers = self._runtime.readers()
        remote = [i for i in images if self._images.is_remote(i)]
        ahead = {i: readers.submit(self._images.read, i) for i in remote}
        size = max(1, -(-len(images) // (4 * self._runtime.threads)))
        pool = self._runtime.pool()
        parts = [
            pool.submit(self._part, images[cut : cut + size], pixels[cut : cut + size], ahead)
            for cut in range(0, len(images), size)
        ]
        return _Window(images, pixels, parts)

    def _part(
        self, images: list[int], pixels: decoding.Pixels, ahead: dict[int, Ahead]
    ) -> tuple[list[_Found], Spent]:
        """Look up a part of a window, and decode what must be inferred from the image."""
        spent = Spent()
        every = tuple(range(len(self._outputs)))
        if self.stored is None:
            data: dict[int, pa.Buffer | bytes] = {}
            found = [_Found(slots=every) for _ in images]
        else:
            data, found = self._find(images, ahead, spent, self.stored)
        decoded = 0
        for place, (image, one) in enumerate(zip(images, found, strict=True)):
            if one.reason is None and one.slots and not one.from_base:
                decoded += self._decode(image, pixels[place], one, data.get(image), spent, ahead)
        self._runtime.count(
            self._spec.run,
            decoded=decoded,
            read_seconds=spent.read,
            decode_seconds=spent.decode,
            images_from_store=sum(one.reason is None and not one.slots for one in found),
        )
        return found, spent

    def _find(
        self, images: list[int], ahead: dict[int, Ahead], spent: Spent, stored: Stored
    ) -> tuple[dict[int, pa.Buffer | bytes], list[_Found]]:
        """Read images and take from the store what it has of them."""
        data: dict[int, pa.Buffer | bytes] = {}
        reasons: dict[int, str | None] = {}
        for image in images:
            some, reasons[image] = self._images.fetch(image, spent, ahead.get(image))
            if some is not None:
                data[image] = some
        began = time.perf_counter()
        for image, some in data.items():
            known = self._identities[image]  # a BLOB's is its digest
            self.digests[image] = known if isinstance(known, bytes) else store.digest(some)
        readable = list(data)
        digests = [one for image in readable if (one := self.digests[image]) is not None]
        looked = stored.look(readable, digests, self._results.n_layers, self._results.place)
        lacks = dict(zip(readable, looked, strict=True))
        self._runtime.count(self._spec.run, store_seconds=time.perf_counter() - began)
        found = []
        for image in images:
            if image in lacks:
                slots = lacks[image].slots
                base = lacks[image].from_base and self._starts_at_base(slots)
                found.append(_Found(slots=slots, from_base=base))
            else:
                found.append(_Found(reasons[image]))
        return data, found

    def _decode(
        self,
        image: int,
        out: decoding.Pixels,
        found: _Found,
        data: pa.Buffer | bytes | None,
        spent: Spent,
        ahead: dict[int, Ahead],
    ) -> bool:
        """Decode one image into `out`, or take what an earlier call keeps; say which it was."""
        decoded, identity = self._runtime.decoded, self._identities[image]
        order = self._cnn.preprocessing.order
        key = (identity, order, self._cnn.input_shape)
        if self._spec.take and decoded.take(key, out):
            return False
        if data is None:
            data, found.reason = self._images.fetch(image, spent, ahead.get(image))
        if data is not None:
            found.reason = distinct.decode(data, order, out, spent)
        if self._spec.keep and found.reason is None and sources.is_stable(identity):
            decoded.keep(key, out, self._spec.keep)
        return True

    def _starts_at_base(self, slots: Sequence[int]) -> bool:
        """Return whether outputs can be computed from the base's raw map."""
        network, base = self._network(), self._spec.base
        if base is None or isinstance(network, hog.Hog):
            return False
        try:
            network.check_start(base, [self._outputs[slot][0] for slot in slots])
        except PlanError:
            return False
        return True

    def _note(self, image: int, reason: str | None) -> None:
        """Remember how reading an image went."""
        rows, identity = self._images.rows(image), self._identities[image]
        if sources.is_stable(identity):
            self._runtime.set_outcome((self._cnn.preprocessing.order, identity), reason)
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

    # ── inferring ───────────────────────────────────────────────────────────────────────────────

    def _infer_group(
        self,
        group: _Group,
        from_base: bool,
        keys: Sequence[Hashable],
        given: Wanted,
        edges: set[Hashable],
    ) -> None:
        """Infer what images lack, in one pass, and keep it in the store."""
        runtime, network = self._runtime, self._network()
        maps: list[np.ndarray] = []
        if from_base:
            maps, lost = self._base_maps(group)
            if lost.images:
                self._infer_group(lost, False, keys, given, edges)
        slots = sorted({slot for some in group.slots for slot in some})
        start = self._spec.base if from_base else None
        outputs = [self._outputs[slot] for slot in slots] + self._raw_from(start)
        whole = self._results.n_layers == len(slots)
        with runtime.inference:
            every = range(len(group.images))
            left = [
                i for i in every if not self._take(group.images[i], keys[group.images[i]], given)
            ]
            if not left:
                return
            batch = [group.images[i] for i in left]
            values = np.stack([maps[i] for i in left]) if from_base else _pixels(group, left)
            begun = time.perf_counter()
            with runtime.clock(self._spec.run).inferring():
                matrices = network.run(start, outputs, values)
            seconds = time.perf_counter() - begun
            if whole:
                self._publish(batch, matrices[: len(slots)], keys, given, edges)
        runtime.count(
            self._spec.run,
            images_inferred=len(batch),
            images_resumed=len(batch) if from_base else 0,
            batches=1,
            layer_evaluations=len(batch) * len(matrices),
            infer_seconds=seconds,
        )
        self._results.put(batch, slots, matrices)
        if not whole and self._results.n_layers:  # the rest came from the store
            self._publish(batch, self._results.of(batch), keys, given, edges)
        self._keep(batch, outputs, matrices, on_gpu=network.on_gpu)

    def _publish(
        self,
        batch: Sequence[int],
        matrices: Sequence[np.ndarray],
        keys: Sequence[Hashable],
        given: Wanted,
        edges: set[Hashable],
    ) -> None:
        self._runtime.sharing.publish([keys[image] for image in batch], matrices, edges)
        for image in batch:  # ours, so not a gift
            given.pop(keys[image], None)

    def _base_maps(self, group: _Group) -> tuple[list[np.ndarray], _Group]:
        """Read the base's raw maps; images without one leave the group, decoded, for another."""
        digests = [one for image in group.images if (one := self.digests[image]) is not None]
        stored_maps = [] if self.stored is None else self.stored.maps(digests)
        kept, lost, maps = _Group(), _Group(), []
        for place, values in enumerate(stored_maps):
            image, slots = group.images[place], group.slots[place]
            if values is not None:
                kept.images.append(image)
                kept.slots.append(slots)
                maps.append(values)
                continue
            pixels = np.empty((1, *self._cnn.input_shape), np.uint8)
            again, spent = _Found(), Spent()
            decoded = self._decode(image, pixels[0], again, None, spent, {})
            self._runtime.count(
                self._spec.run,
                decoded=int(decoded),
                read_seconds=spent.read,
                decode_seconds=spent.decode,
            )
            self._note(image, again.reason)
            if again.reason is None:
                lost.images.append(image)
                lost.slots.append(slots)
                lost.pixels.append((pixels, 0))
        group.images, group.slots = kept.images, kept.slots
        return maps, lost

    def _raw_from(self, start: str | None) -> list[Output]:
        """Return the raw maps to keep that can be computed from the image, or from the base."""
        network = self._network()
        if start is None or isinstance(network, hog.Hog):
            return self._raw
        found = []
        for layer, pool in self._raw:
            try:
                network.check_start(start, [layer])
            except PlanError:
                continue
            if layer != start:
                found.append((layer, pool))
        return found

    def _keep(
        self,
        batch: Sequence[int],
        outputs: Sequence[Output],
        matrices: Sequence[np.ndarray],
        *,
        on_gpu: bool,
    ) -> None:
        """Commit what was inferred to the store."""
        if self.stored is not None:
            began = time.perf_counter()
            digests = [one for image in batch if (one := self.digests[image]) is not None]
            self.stored.keep(digests, outputs, matrices, on_gpu=on_gpu)
            self._runtime.count(self._spec.run, keep_seconds=time.perf_counter() - began)

    # ── results ─────────────────────────────────────────────────────────────────────────────────

    def _take(self, image: int, key: Hashable, given: Wanted) -> bool:
        """Store what another call has inferred for us, if it has."""
        vectors = given.pop(key, None)
        if vectors is not None:
            self._results.put([image], range(len(vectors)), [v[None] for v in vectors])
        return vectors is not None


def _pixels(group: _Group, places: Sequence[int]) -> decoding.Pixels:
    """Return the pixels of some of a group's images, (images, height, width, channels)."""
    chosen = [group.pixels[place] for place in places]
    first = chosen[0][0]
    if len(chosen) == len(first) and all(
        pixels is first and row == at for at, (pixels, row) in enumerate(chosen)
    ):
        return first
    return np.stack([pixels[row] for pixels, row in chosen])


def infer_images(
    runtime: Runtime, spec: InferSpec, images: Column, keys: Column, kind: str, pool: str
) -> Layers:
    """Infer a column of images, or take from the store what it has; row i stays row i.

    Args:
        runtime: shared by the process's kernels.
        spec: the order.
        images: BLOBs, or paths and URIs; NULL: no image, which is no error.
        keys: text that names the rows in errors; may be NULL.
        kind: of result ('features', 'maps'); results of different kinds are never exchanged.
        pool: of the results, one of vista_sql.kernels.POOLS.

    Raises:
        UnreadableImageError: an image cannot be read and the spec asks to fail then.
        StoreError: the store cannot be used and the spec says that it must.
    """
    opened = runtime.opened(spec)
    arithmetic = (opened.identity, spec.dtype, spec.device)
    scope = (kind, spec.layers, spec.pool, arithmetic, spec.store)  # what is taken is stored too
    found = Images(image_column(images, spec), spec.folder)
    with runtime.calls:
        return Pass(runtime, spec, found, one_array(keys), pool).run(scope)
