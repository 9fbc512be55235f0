"""What a store holds, by space: a row each, and which entries go when there are too many."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Iterator, Sequence
from zlib import crc32

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from vista_sql.store._files import Transaction
from vista_sql.store._spaces import DIGEST_BYTES, Space

TOUCH_SECONDS = 3600  # a space's last use is noted so often at most


class Held(Struct, frozen=True):
    """What the store holds of one space."""

    space: Space
    images: int
    bytes: int  # of keys and values, as packed
    used: float  # when it was last used, seconds since 1970, to the hour


class SpaceRows:
    """The rows about spaces within one transaction; what changes is written by `write`."""

    def __init__(self, transaction: Transaction) -> None:
        self._txn = transaction.txn
        self._spaces, self._entries = transaction.spaces, transaction.entries
        self._changed: dict[bytes, Held | None] = {}  # None: nothing is left of the space

    def rows(self) -> list[tuple[bytes, Held]]:
        """Return the rows that are written, by the spaces' keys; damaged ones are left out."""
        return [(key, row) for key, row in self._written() if row is not None]

    def row(self, key: bytes) -> Held | None:
        """Return the row of a space's key, as it will be written; None: none, or it is damaged."""
        if key in self._changed:
            return self._changed[key]
        row = self._txn.get(key, db=self._spaces)
        return None if row is None else _read(key, row)

    def use(self, space: Space) -> None:
        """Note that a space is in use now; a row that is not there, or damaged, is begun anew."""
        row = self.row(space.key) or self._counted(space)
        self._changed[space.key] = replace(row, used=time.time())

    def add(self, space: Space, images: int, n_bytes: int) -> None:
        """Count entries that were written."""
        key = space.key
        row = self.row(key) or Held(space, 0, 0, time.time())  # evicted a moment ago
        self._changed[key] = replace(row, images=row.images + images, bytes=row.bytes + n_bytes)

    def _written(self) -> list[tuple[bytes, Held | None]]:
        with self._txn.cursor(self._spaces) as cursor:
            return [(bytes(key), _read(bytes(key), row)) for key, row in cursor]

    def _counted(self, space: Space) -> Held:
        sizes = [len(key) + len(image) + size for image, key, size in self._sizes(space.key)]
        return Held(space, len(sizes), sum(sizes), 0)

    def used_bytes(self) -> int:
        """Return the bytes of the pages that entries lie in."""
        stat = self._txn.stat(self._entries)
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return pages * stat["psize"]

    def evict(self, n_bytes: int) -> None:
        """Remove entries until so many bytes are free, those of spaces unused for longest first.

        Spaces that were used within an hour of each other give up the same images, by digest: the
        layers of a statement go and stay together.
        """
        before = self.used_bytes()
        damaged = [key for key, row in self._written() if row is None and key not in self._changed]
        for key in damaged:  # nobody knows whose they are, or when they were used
            self.empty(key)
            self._changed[key] = None
        n_bytes -= before - self.used_bytes()
        rows = [(row.used, key) for key, row in self.rows() if key not in self._changed]
        rows += [(row.used, key) for key, row in self._changed.items() if row is not None]
        while rows and n_bytes > 0:
            oldest = min(rows)[0]
            together = [key for used, key in rows if used <= oldest + TOUCH_SECONDS]
            rows = [row for row in rows if row[0] > oldest + TOUCH_SECONDS]
            gone: list[bytes] = []
            for image, key, size in heapq.merge(*map(self._sizes, together)):
                if n_bytes <= 0:
                    break
                gone.append(key + image)
                n_bytes -= on_disk_bytes(size)
            self._remove(gone)

    def empty(self, key: bytes) -> None:
        """Remove all entries of a space."""
        self._remove([key + image for image, _, _ in self._sizes(key)])

    def write(self) -> None:
        """Write the rows that changed."""
        for key, row in self._changed.items():
            if row is None:
                self._txn.delete(key, db=self._spaces)
            else:
                self._txn.put(key, _row_bytes(key, row), db=self._spaces)

    def _sizes(self, key: bytes) -> Iterator[tuple[bytes, bytes, int]]:
        """Yield a space's entries: digest, the space's key, bytes of the value."""
        with self._txn.cursor(self._entries) as cursor:
            is_there = cursor.set_range(key)
            while is_there and bytes(cursor.key()[: len(key)]) == key:
                yield bytes(cursor.key()[len(key) :]), key, len(cursor.value())
                is_there = cursor.next()

    def _remove(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            space_key, value = key[:-DIGEST_BYTES], self._txn.pop(key, db=self._entries)
            size = len(key) + (0 if value is None else len(value))
            row = self.row(space_key)
            if row is not None:
                row = replace(row, images=row.images - 1, bytes=row.bytes - size)
                self._changed[space_key] = row if row.images > 0 else None


def _row_bytes(key: bytes, row: Held) -> bytes:
    """Return a row as it is written: a checksum of its key and text, then the text."""
    text = json.dumps(to_builtins(row)).encode()
    return b"%08x" % crc32(text, crc32(key)) + text


def _read(key: bytes, row: memoryview) -> Held | None:
    """Return a row; None where it is damaged. Earlier versions wrote it without a checksum."""
    written = bytes(row)
    begin = written.find(b"{")
    if begin not in (0, 8):
        return None
    text = written[begin:]
    if begin and written[:8] != b"%08x" % crc32(text, crc32(key)):
        return None
    try:
        record = json.loads(text)
        held = Held(Space(**record["space"]), record["images"], record["bytes"], record["used"])
        return held if held.space.key == key else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def on_disk_bytes(payload_bytes: int) -> int:
    """Return about what an entry takes: whole pages, where it is no small one."""
    size = payload_bytes + 64
    return size if size < 2000 else -(-size // 4096) * 4096 + 64
