"""The feature store as one call sees it: images' digests → values; and values → entries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import pyarrow as pa
from msgspec import Struct

from vista_sql import store
from vista_sql.errors import StoreError
from vista_sql.kernels import InferSpec
from vista_sql.store import BegunAnew, Entry, Packed, Space, Store

from ..network import hog
from ..network.engine import Output
from ..network.networks import OpenCnn
from .inputs import Inputs

log = logging.getLogger(__name__)

PLAIN, LZ4 = 0, 1
"""Forms of an entry: little-endian float32 as they are, or those as one LZ4 block."""

ZERO_SHARE = 0.4
"""Values are packed where so many are zeros, as above a ReLU. Half of them zeros, LZ4 leaves .67 of
the bytes (packs .7 GB/s, unpacks 3.6 GB/s on one core); without zeros it leaves all of them. Zstd
leaves .57 and unpacks 1.2 GB/s; splitting the floats' bytes helped neither with zeros."""

READABLE: Output = ("", "none")
"""The output that says only that an image can be decoded; its values are empty."""

Place = Callable[[int, int, np.ndarray], bool]
"""(image, slot, values) → whether the values, valid during the call only, were taken."""


class Missing(Struct, frozen=True):
    """What the store lacks of one image."""

    slots: tuple[int, ...]  # of the pass's outputs
    from_base: bool  # the base's raw map is there


class StoreView:
    """The store as one call uses it; safe in any thread."""

    def __init__(
        self, feature_store: Store, inputs: Inputs, outputs: Sequence[Output], unusable: set[str]
    ) -> None:
        """View a store; its folder is opened by the first look.

        Args:
            feature_store: the store.
            inputs: of the call: the order and its CNN.
            outputs: what is looked for, by slot.
            unusable: the folders that this process has given up; shared.
        """
        self._store, self._unusable = feature_store, unusable
        self._spec, self._opened, self._outputs = inputs.spec, inputs.opened, outputs

    @cached_property
    def _device(self) -> str:
        return device_of(self._opened, self._spec)

    def _space(self, output: Output) -> Space:
        return space_of(self._opened, self._spec, output)

    @cached_property
    def _spaces(self) -> tuple[Space, ...]:
        return tuple(map(self._space, self._outputs))

    @cached_property
    def _readable(self) -> Space:
        return self._space(READABLE)

    @cached_property
    def _base(self) -> Space | None:
        return None if self._spec.base is None else self._space((self._spec.base, "none"))

    def look(
        self, images: Sequence[int], digests: Sequence[bytes], n_values: int, place: Place
    ) -> list[Missing]:
        """Look images up; hand what is there to `place`.

        Args:
            images: the images.
            digests: theirs.
            n_values: of the outputs, how many have values to hand over; the others are only asked
                for.
            place: takes one image's values of one output.

        Returns:
            Per image what is missing.
        """
        slots = range(len(self._outputs))
        missing = [Missing(tuple(slots), False)] * len(images)
        with self._careful(), self._store.reading() as reading:
            if reading is None:
                return missing
            for i, (image, digest) in enumerate(zip(images, digests, strict=True)):
                lacks = []
                for slot, space in enumerate(self._spaces):
                    packed = reading.get(space, digest)
                    there = packed is not None
                    if packed is not None and slot < n_values:
                        values = unpacked(packed)
                        there = values is not None and place(image, slot, values)
                    if not there:
                        lacks.append(slot)
                base = bool(lacks) and self._base is not None and reading.has(self._base, digest)
                missing[i] = Missing(tuple(lacks), base)
        if any(len(lacks.slots) < len(self._outputs) for lacks in missing):
            with self._careful():
                self._store.touch(self._spaces)
        return missing

    def maps(self, digests: Sequence[bytes]) -> list[np.ndarray | None]:
        """Return the base's raw map of each image, float32; None where there is none after all."""
        maps: list[np.ndarray | None] = [None] * len(digests)
        with self._careful(), self._store.reading() as reading:
            if reading is not None and self._base is not None:
                for i, digest in enumerate(digests):
                    packed = reading.get(self._base, digest)
                    values = None if packed is None else unpacked(packed)
                    maps[i] = None if values is None else values.copy()
        return maps

    def keep(
        self,
        digests: Sequence[bytes],
        outputs: Sequence[Output],
        matrices: Sequence[np.ndarray],
        *,
        on_gpu: bool,
    ) -> None:
        """Write what one pass of the network made of images, and that these can be decoded.

        Args:
            digests: of the images.
            outputs: of the pass.
            matrices: float32 (images, values) per output.
            on_gpu: where it ran; nothing is written where that is not what the keys say.
        """
        if on_gpu != self._device.startswith("gpu"):
            return
        with self._careful():
            self._store.keep(self._entries(digests, outputs, matrices))

    def _entries(
        self, digests: Sequence[bytes], outputs: Sequence[Output], matrices: Sequence[np.ndarray]
    ) -> Iterator[Entry]:
        for digest in digests:
            yield Entry(self._readable, digest, PLAIN, 0, b"")
        for output, matrix in zip(outputs, matrices, strict=True):
            space = self._space(output)
            values = np.ascontiguousarray(matrix, "<f4")
            sparse = is_sparse(values)
            for digest, row in zip(digests, values, strict=True):
                yield Entry(space, digest, *packed(row, sparse=sparse))

    def keep_readable(self, digests: Sequence[bytes]) -> None:
        """Write that images can be decoded."""
        if digests:
            with self._careful():
                self._store.keep(
                    [Entry(self._readable, digest, PLAIN, 0, b"") for digest in digests]
                )

    def stored_bytes(self, output: Output, digests: Sequence[bytes]) -> list[int | None]:
        """Return what images' values of one output take, packed; None where there are none."""
        space = self._space(output)
        sizes: list[int | None] = [None] * len(digests)
        with self._careful(), self._store.reading() as reading:
            if reading is not None:
                entries = [reading.get(space, digest) for digest in digests]
                sizes = [None if entry is None else len(entry.payload) for entry in entries]
        return sizes

    @contextmanager
    def _careful(self) -> Iterator[None]:
        """Do without a store that cannot be used, and say so once, unless the user named it.

        Raises:
            StoreError: the user named it.
        """
        try:
            yield
        except BegunAnew:
            pass  # which it said itself
        except StoreError as error:
            if self._spec.store_required:
                raise
            if self._store.folder not in self._unusable:
                self._unusable.add(self._store.folder)
                log.warning("going on without: %s", error)


def device_of(opened: OpenCnn, spec: InferSpec) -> str:
    """Return what kind of processor an order's network runs on here."""
    is_hog = opened.cnn.name == hog.NAME
    return store.device_class("cpu" if is_hog else spec.device, spec.engine)


def space_of(opened: OpenCnn, spec: InferSpec, output: Output) -> Space:
    """Return what the values of an output depend on beside the image, as an order makes them."""
    layer, pool = output
    return store.space(
        opened.cnn,
        opened.weights or opened.identity,
        layer,
        pool,
        spec.dtype,
        device=device_of(opened, spec),
        engine=spec.engine,
        computation=opened.computation(layer, spec.engine) if layer else "",
    )


def store_view(inputs: Inputs, outputs: Sequence[Output]) -> StoreView | None:
    """Return the store that a call's order names, as the call uses it; None: there is none to use.

    Args:
        inputs: of the call.
        outputs: what is looked for, by slot.

    Raises:
        SettingError: a GPU is asked for and there is none that the engine can use, so that what is
            stored is of no use.
    """
    runtime = inputs.runtime
    feature_store = runtime.store(inputs.spec)
    if feature_store is None:
        return None
    of_network = inputs.opened.cnn.name != hog.NAME and any(layer for layer, _ in outputs)
    spec = inputs.spec
    is_gpu_here = store.device_class("gpu", spec.engine).startswith("gpu")
    wants_gpu = spec.device == "gpu" and not is_gpu_here
    if of_network and wants_gpu and len(inputs.images):
        inputs.network()  # it says so, or there is one that the driver's files do not tell of
    return StoreView(feature_store, inputs, outputs, runtime.unusable)


def _codec() -> pa.Codec:
    return pa.Codec("lz4_raw")


def is_sparse(values: np.ndarray) -> bool:
    """Return whether so many of a batch's values are zeros that packing pays."""
    return bool(np.count_nonzero(values) < (1 - ZERO_SHARE) * values.size)


def packed(values: np.ndarray, *, sparse: bool) -> tuple[int, int, store.Buffer]:
    """Return one image's values as an entry has them: form, bytes before packing, payload.

    Args:
        values: little-endian float32 (values,), contiguous.
        sparse: whether packing pays.
    """
    plain = values.data.cast("B")
    if sparse:
        return LZ4, len(plain), _codec().compress(plain, asbytes=True)
    return PLAIN, len(plain), plain


def unpacked(packed: Packed) -> np.ndarray | None:
    """Return an entry's values, float32 (values,); None where it holds something else."""
    if packed.size % 4:
        return None
    if packed.form == PLAIN and packed.size == len(packed.payload):
        return np.frombuffer(packed.payload, "<f4")
    if packed.form == LZ4:
        try:
            return np.frombuffer(_codec().decompress(packed.payload, packed.size), "<f4")
        except (OSError, ValueError):
            return None
    return None
