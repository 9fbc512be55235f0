"""The feature store: what was inferred once, by content, for every process of a user.

An entry is one image's values in one *space*. A space says all that the values depend on but the
image: what a network computes up to a layer, with the weights on the way to it, pooling,
arithmetic, preprocessing, the versions and the processor that made them (float32 features are
bit-equal within those). So networks that begin alike share what they compute alike. The image is a
digest of its bytes: a file that is renamed is known, one whose bytes changed is not.

Entries lie in LMDB, in `<folder>/features`; many threads and processes read and write at once.
Every value carries a checksum of itself and its key: one that is damaged counts as absent and is
written again. So do the rows about spaces, which are begun anew from the entries there are. A data
file that LMDB itself cannot follow is moved aside, to `<folder>/damaged`.

Size: before a batch is written, the spaces that were not used for longest give up entries, in the
order of their digests, until the batch fits. Among spaces in use that is a fixed, arbitrary choice
of images on purpose: a loop over more images than fit would find nothing were the oldest dropped
first; so it finds those that fit.

Reading opens no folder that is not there, and needs neither numpy nor TensorFlow: planning does so.
"""

from __future__ import annotations

import shutil
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

from msgspec import Struct

from vista_sql.errors import SettingError, StoreError
from vista_sql.files import nearest_existing, user_cache
from vista_sql.store._files import GROWTH_BYTES, BegunAnew, Transaction, files
from vista_sql.store._rows import TOUCH_SECONDS, Held, SpaceRows, on_disk_bytes
from vista_sql.store._spaces import Space, device_class, digest, space

__all__ = [
    "OFF", "BegunAnew", "Choice", "Entry", "Held", "Packed", "Reading", "Space", "Store", "chosen",
    "default_folder", "device_class", "digest", "space",
]  # fmt: skip

Buffer: TypeAlias = bytes | memoryview

DEFAULT_BYTES = 20 * 10**9
FREE_SHARE = 2  # … but at most one part in so many of what the disk has free beside the store
MAX_COMMIT_BYTES = 64 << 20  # written in one transaction: LMDB keeps its pages in memory
EVICTED_SHARE = 20  # one part in so many of the limit is freed at once

_HEADER = struct.Struct("<BxxxIQ")  # form, checksum, bytes of the values before packing


class Choice(Struct, frozen=True):
    """Which store a statement uses."""

    folder: str = ""  # absolute; "": none, not a byte is read or written
    limit_bytes: int = 0  # 0: DEFAULT_BYTES, or what the disk allows
    required: bool = False  # the user named the folder: not being able to use it is an error


OFF = Choice()


class Entry(Struct, frozen=True):
    """One image's values, packed."""

    space: Space
    digest: bytes
    form: int  # how they are packed: the reader's and the writer's business
    size: int  # bytes before packing
    payload: Buffer


class Packed(Struct, frozen=True):
    """An entry's values as they lie in the store; `payload` is valid while the reading lasts."""

    form: int
    size: int
    payload: memoryview


def default_folder() -> str:
    """Return the user's own store: `$XDG_CACHE_HOME/vista_sql/store`, in `~/.cache` by default."""
    return str(user_cache() / "store")


def chosen(value: bool | str, limit_bytes: int | None) -> Choice:
    """Return the store that a setting's value means: true, false or a folder.

    Raises:
        SettingError: the folder is in a home folder that is not there.
    """
    if value is False:
        return OFF
    try:
        if value is True:
            return Choice(default_folder(), limit_bytes or 0)
        return Choice(str(Path(value).expanduser().absolute()), limit_bytes or 0, required=True)
    except RuntimeError as error:  # no home folder
        if value is True:
            return OFF
        raise SettingError(
            f"store must be true, false or a folder, not {value!r}: {error}"
        ) from None


class Reading:
    """One consistent view of the store; used by one thread."""

    def __init__(self, transaction: Transaction) -> None:
        self._txn, self._entries = transaction.txn, transaction.entries

    def has(self, space: Space, digest: bytes) -> bool:
        """Return whether there is an entry; it may still prove damaged."""
        return self._txn.get(space.key + digest, db=self._entries) is not None

    def get(self, space: Space, digest: bytes) -> Packed | None:
        """Return an entry's values; None where there is none, or it is damaged."""
        key = space.key + digest
        return _unpacked(key, self._txn.get(key, db=self._entries))


class Store:
    """A feature store; cheap to make, safe in any thread. Nothing is made before it is written to.

    A process that was forked from one in which the store was open has none: LMDB cannot cross a
    fork. There, nothing is found and nothing is kept.
    """

    def __init__(self, folder: str, limit_bytes: int = 0) -> None:
        self.folder, self._limit_bytes = folder, limit_bytes
        self._files = files(folder)
        self._touched: dict[bytes, float] = {}  # spaces, and when their last use was noted

    @contextmanager
    def reading(self) -> Iterator[Reading | None]:
        """Give a view of the store; None where there is no store yet.

        Raises:
            StoreError: there is one that cannot be read.
        """
        with self._files.transaction(write=False) as transaction:
            yield None if transaction is None else Reading(transaction)

    def keep(self, entries: Iterable[Entry]) -> int:
        """Write entries; when this returns they outlive the process, killed or not.

        What is there already stays, unless it is damaged. Nothing is written where the batch alone
        is larger than the limit.

        Returns:
            Bytes written.

        Raises:
            StoreError: the store cannot be written to.
        """
        part: list[Entry] = []
        size = written = 0
        for entry in entries:
            part.append(entry)
            size += len(entry.payload)
            if size >= MAX_COMMIT_BYTES:
                written += self._keep(part)
                part, size = [], 0
        return written + (self._keep(part) if part else 0)

    def _keep(self, entries: Sequence[Entry]) -> int:
        needed_bytes = sum(on_disk_bytes(len(entry.payload)) for entry in entries)
        written = 0
        with self._files.transaction(write=True) as transaction:
            if transaction is None:
                return 0
            limit = self.limit_bytes()
            if needed_bytes > limit:
                return 0
            rows = SpaceRows(transaction)
            for space in {entry.space for entry in entries}:
                rows.use(space)
            excess_bytes = rows.used_bytes() + needed_bytes - limit
            if excess_bytes > 0:
                rows.evict(excess_bytes + limit // EVICTED_SHARE)
            for entry in entries:
                key = entry.space.key + entry.digest
                value = _packed(key, entry)
                old = transaction.txn.get(key, db=transaction.entries)
                if old is not None and old == value:
                    continue
                old_bytes = None if old is None else len(old)  # the memory is LMDB's until `put`
                transaction.txn.put(key, value, db=transaction.entries)
                if old_bytes is None:
                    rows.add(entry.space, 1, len(value) + len(key))
                else:
                    rows.add(entry.space, 0, len(value) - old_bytes)
                written += len(value)
            rows.write()
        if self.size_bytes() > 1.5 * limit + GROWTH_BYTES:  # its gaps are too small to be filled
            self._files.compact()
        return written

    def touch(self, spaces: Iterable[Space]) -> None:
        """Note that spaces are in use, so that others are evicted before them.

        Raises:
            StoreError: the store cannot be written to.
        """
        now = time.time()
        due = {
            space.key: space
            for space in spaces
            if self._touched.get(space.key, 0) < now - TOUCH_SECONDS
        }
        if not due:
            return
        self._touched |= dict.fromkeys(due, now)
        with self._files.transaction(write=False) as transaction:
            if transaction is None:
                return
            rows = SpaceRows(transaction)
            by_space = {space: rows.row(space.key) for space in due.values()}
            stale = [s for s, row in by_space.items() if row and row.used < now - TOUCH_SECONDS]
        if not stale:
            return
        with self._files.transaction(write=True) as transaction:
            if transaction is not None:
                rows = SpaceRows(transaction)
                for space in stale:
                    rows.use(space)
                rows.write()

    def held(self) -> list[Held]:
        """Return what the store holds, by space; the images that can be decoded are left out.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._files.transaction(write=False) as transaction:
            if transaction is None:
                return []
            held = [row for _, row in SpaceRows(transaction).rows() if row.space.computation]
        return sorted(held, key=lambda row: (row.space.cnn, row.space.layer, astuple(row.space)))

    def size_bytes(self) -> int:
        """Return the bytes that the store takes on disk."""
        return self._files.size_bytes()

    def limit_bytes(self) -> int:
        """Return the bytes that entries may take."""
        if self._limit_bytes:
            return self._limit_bytes
        free = shutil.disk_usage(nearest_existing(self.folder)).free
        return min(DEFAULT_BYTES, (free + self.size_bytes()) // FREE_SHARE)

    def clear(self, cnn: str | None = None) -> int:
        """Remove every entry, or those of one CNN (any case), and give the disk its space back.

        Returns:
            How many entries with values were removed.

        Raises:
            StoreError: the store cannot be written to.
        """
        if cnn is None:
            held = []
            with suppress(StoreError):  # it goes, whatever is wrong with it
                held = self.held()
            self._files.remove()
            return sum(row.images for row in held)
        held = self.held()
        gone = [row for row in held if row.space.cnn.lower() == cnn.lower()]
        with self._files.transaction(write=True) as transaction:
            if transaction is not None and gone:
                rows = SpaceRows(transaction)
                for row in gone:
                    rows.empty(row.space.key)
                rows.write()
        if gone:
            self._files.compact()
        return sum(row.images for row in gone)


def _packed(key: bytes, entry: Entry) -> bytes:
    checksum = crc32(entry.payload, crc32(_HEADER.pack(entry.form, 0, entry.size) + key))
    return b"".join((_HEADER.pack(entry.form, checksum, entry.size), entry.payload))


def _unpacked(key: bytes, value: memoryview | None) -> Packed | None:
    if value is None or len(value) < _HEADER.size:
        return None
    form, checksum, size = _HEADER.unpack_from(value)
    payload = value[_HEADER.size :]
    if crc32(payload, crc32(_HEADER.pack(form, 0, size) + key)) != checksum:
        return None
    return Packed(form, size, payload)
