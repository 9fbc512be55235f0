"""The feature store: what was inferred once, by content, for every process of a user.

An entry is one image's values in one *space*. A space says all that the values depend on but the
image: network, weights, layer, pooling, arithmetic, preprocessing, the versions and the processor
that made them (float32 features are bit-equal within those). The image is a digest of its bytes:
a file that is renamed is known, one whose bytes changed is not.

Entries lie in LMDB, in `<folder>/features`; many threads and processes read and write at once.
Every value carries a checksum of itself and its key: one that is damaged counts as absent and is
written again. A data file that LMDB itself cannot follow is moved aside, to `<folder>/damaged`.

Size: before a batch is written, the spaces that were not used for longest give up entries, in the
order of their digests, until the batch fits. Among spaces in use that is a fixed, arbitrary choice
of images on purpose: a loop over more images than fit would find nothing were the oldest dropped
first; so it finds those that fit.

Reading opens no folder that is not there, and needs neither numpy nor TensorFlow: planning does so.
"""

from __future__ import annotations

import heapq
import json
import shutil
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, TypeAlias
from zlib import crc32

from vista_sql.errors import SettingError
from vista_sql.files import nearest_existing, user_cache
from vista_sql.store._files import GROWTH_BYTES, BegunAnew, files
from vista_sql.store._spaces import DIGEST_BYTES, Space, device_class, digest, space

__all__ = [
    "OFF", "BegunAnew", "Choice", "Entry", "Held", "Packed", "Reading", "Space", "Store", "chosen",
    "default_folder", "device_class", "digest", "space",
]  # fmt: skip

Buffer: TypeAlias = bytes | memoryview

DEFAULT_BYTES = 20 * 10**9
FREE_SHARE = 2  # … but at most one part in so many of what the disk has free beside the store
MAX_COMMIT_BYTES = 64 << 20  # written in one transaction: LMDB keeps its pages in memory
TOUCH_SECONDS = 3600  # a space's last use is noted so often at most
EVICTED_SHARE = 20  # one part in so many of the limit is freed at once

_HEADER = struct.Struct("<BxxxIQ")  # form, checksum, bytes of the values before packing


@dataclass(frozen=True, slots=True)
class Choice:
    """Which store a statement uses."""

    folder: str = ""  # absolute; "": none, not a byte is read or written
    limit_bytes: int = 0  # 0: DEFAULT_BYTES, or what the disk allows
    required: bool = False  # the user named the folder: not being able to use it is an error


OFF = Choice()


@dataclass(frozen=True, slots=True)
class Held:
    """What the store holds of one space."""

    space: Space
    images: int
    bytes: int  # of keys and values, as packed
    used: float  # when it was last used, seconds since 1970, to the hour


@dataclass(frozen=True, slots=True)
class Entry:
    """One image's values, packed."""

    space: Space
    digest: bytes
    form: int  # how they are packed: the reader's and the writer's business
    size: int  # bytes before packing
    payload: Buffer


@dataclass(frozen=True, slots=True)
class Packed:
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
        raise SettingError(f"store is {value!r}, which cannot be: {error}") from None


class Reading:
    """One consistent view of the store; used by one thread."""

    def __init__(self, txn: Any, entries: Any) -> None:
        self._txn, self._entries = txn, entries

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
        with self._files.transaction(write=False) as found:
            yield None if found is None else Reading(found[0], found[1].entries)

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
        need = sum(_on_disk(len(entry.payload)) for entry in entries)
        written = 0
        with self._files.transaction(write=True) as found:
            if found is None:
                return 0
            txn, tables = found
            limit = self.limit_bytes()
            if need > limit:
                return 0
            spaces = _Spaces(txn, tables.spaces)
            for space in {entry.space for entry in entries}:
                spaces.use(space)
            excess = _used(txn, tables.entries) + need - limit
            if excess > 0:
                spaces.evict(tables.entries, excess + limit // EVICTED_SHARE)
            for entry in entries:
                key = entry.space.key + entry.digest
                value = _packed(key, entry)
                old = txn.get(key, db=tables.entries)
                if old is not None and old == value:
                    continue
                txn.put(key, value, db=tables.entries)
                if old is None:
                    spaces.add(entry.space, 1, len(value) + len(key))
                else:
                    spaces.add(entry.space, 0, len(value) - len(old))
                written += len(value)
            spaces.write()
        if self.size_bytes() > 1.5 * limit + GROWTH_BYTES:  # its gaps are too small to be filled
            self._files.compact()
        return written

    def touch(self, spaces: Iterable[Space]) -> None:
        """Note that spaces are in use, so that others are evicted before them.

        Raises:
            StoreError: the store cannot be written to.
        """
        now = time.time()
        wanted = {
            space.key: space
            for space in spaces
            if self._touched.get(space.key, 0) < now - TOUCH_SECONDS
        }
        if not wanted:
            return
        self._touched |= dict.fromkeys(wanted, now)
        with self._files.transaction(write=False) as found:
            if found is None:
                return
            txn, tables = found
            known = {key: txn.get(key, db=tables.spaces) for key in wanted}
            old = [
                wanted[key]
                for key, row in known.items()
                if row is not None and json.loads(bytes(row))["used"] < now - TOUCH_SECONDS
            ]
        if not old:
            return
        with self._files.transaction(write=True) as found:
            if found is not None:
                rows = _Spaces(found[0], found[1].spaces)
                for space in old:
                    rows.use(space)
                rows.write()

    def held(self) -> list[Held]:
        """Return what the store holds, by space; the images that can be decoded are left out.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._files.transaction(write=False) as found:
            if found is None:
                return []
            rows = _Spaces(found[0], found[1].spaces).rows()
        held = [Held(Space(**r["space"]), r["images"], r["bytes"], r["used"]) for _, r in rows]
        order = sorted(held, key=lambda one: (one.space.cnn, one.space.layer, astuple(one.space)))
        return [one for one in order if one.space.layer]

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
        held = self.held()
        if cnn is None:
            self._files.remove()
            return sum(one.images for one in held)
        gone = [one for one in held if one.space.cnn.lower() == cnn.lower()]
        with self._files.transaction(write=True) as found:
            if found is not None and gone:
                rows = _Spaces(found[0], found[1].spaces)
                for one in gone:
                    rows.empty(found[1].entries, one.space.key)
                rows.write()
        if gone:
            self._files.compact()
        return sum(one.images for one in gone)


# ── entries and spaces ──────────────────────────────────────────────────────────────────────────


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


def _on_disk(payload_bytes: int) -> int:
    """Return about what an entry takes: whole pages, where it is no small one."""
    size = payload_bytes + 64
    return size if size < 2000 else -(-size // 4096) * 4096 + 64


def _used(txn: Any, table: Any) -> int:
    stat = txn.stat(table)
    pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
    return int(pages * stat["psize"])


class _Spaces:
    """The rows about spaces within one write transaction: key → space, images, bytes, last use."""

    def __init__(self, txn: Any, table: Any) -> None:
        self._txn, self._table = txn, table
        self._changed: dict[bytes, dict[str, Any] | None] = {}

    def rows(self) -> list[tuple[bytes, dict[str, Any]]]:
        with self._txn.cursor(self._table) as cursor:
            return [(bytes(key), json.loads(bytes(row))) for key, row in cursor]

    def use(self, space: Space) -> None:
        row = self._row(space.key)
        if row is None:
            row = {"space": asdict(space), "images": 0, "bytes": 0}
        self._changed[space.key] = row | {"used": time.time()}

    def add(self, space: Space, images: int, n_bytes: int) -> None:
        row = self._changed[space.key]
        if row is None:  # evicted a moment ago
            self._changed[space.key] = None
            self.use(space)
            row = self._changed[space.key]
        assert row is not None  # noqa: S101  (`use` has made it)
        row["images"] += images
        row["bytes"] += n_bytes

    def evict(self, entries: Any, n_bytes: int) -> None:
        """Remove entries until so many bytes are free, those of spaces unused for longest first.

        Spaces that were used within an hour of each other give up the same images, by digest: the
        layers of a statement go and stay together.
        """
        rows = [(row["used"], key) for key, row in self.rows() if key not in self._changed]
        rows += [(row["used"], key) for key, row in self._changed.items() if row is not None]
        while rows and n_bytes > 0:
            oldest = min(rows)[0]
            alike = [key for used, key in rows if used <= oldest + TOUCH_SECONDS]
            rows = [row for row in rows if row[0] > oldest + TOUCH_SECONDS]
            gone: list[bytes] = []
            for image, key, size in heapq.merge(*(self._sizes(entries, key) for key in alike)):
                if n_bytes <= 0:
                    break
                gone.append(key + image)
                n_bytes -= _on_disk(size)
            self._remove(entries, gone)

    def empty(self, entries: Any, key: bytes) -> None:
        """Remove all entries of a space."""
        self._remove(entries, [key + image for image, _, _ in self._sizes(entries, key)])

    def _sizes(self, entries: Any, key: bytes) -> Iterator[tuple[bytes, bytes, int]]:
        """Yield a space's entries: digest, the space's key, bytes of the value."""
        with self._txn.cursor(entries) as cursor:
            there = cursor.set_range(key)
            while there and bytes(cursor.key()[: len(key)]) == key:
                yield bytes(cursor.key()[len(key) :]), key, len(cursor.value())
                there = cursor.next()

    def _remove(self, entries: Any, keys: Sequence[bytes]) -> None:
        for key in keys:
            space_key, size = key[:-DIGEST_BYTES], len(self._txn.pop(key, db=entries))
            row = self._row(space_key)
            if row is not None:
                row = row | {"images": row["images"] - 1, "bytes": row["bytes"] - size - len(key)}
                self._changed[space_key] = row if row["images"] > 0 else None

    def write(self) -> None:
        for key, row in self._changed.items():
            if row is None:
                self._txn.delete(key, db=self._table)
            else:
                self._txn.put(key, json.dumps(row).encode(), db=self._table)

    def _row(self, key: bytes) -> dict[str, Any] | None:
        if key in self._changed:
            return self._changed[key]
        found = self._txn.get(key, db=self._table)
        return None if found is None else json.loads(bytes(found))
