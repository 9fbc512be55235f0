"""TFRecord files as streams of bytes: found by name or pattern, plain or compressed, resumable."""

from __future__ import annotations

import glob
import os
import re
import threading
import zlib
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

from msgspec import Struct, field

from vista_sql import files
from vista_sql.errors import TFRecordError

Compression = Literal["none", "gzip", "zlib"]

WINDOW_BITS = {"gzip": 31, "zlib": 15}
"""zlib's name for each form of DEFLATE, RFC 1952 and RFC 1950, with the largest window."""

BLOCK_BYTES = 1 << 18
MOST_POSITIONS = 64  # each holds a DEFLATE window and at most a block

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")


def find(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the files that names and patterns stand for, in their order, each pattern's sorted.

    Args:
        patterns: paths (absolute, or relative to the process's folder), URIs of any scheme that
            fsspec reads, or either with `*`, `?`, `[…]` and `**`.

    Raises:
        TFRecordError: a name or a pattern stands for no file.
    """
    files: list[str] = []
    for pattern in patterns:
        matches = _remote(pattern) if _SCHEME.match(pattern) else _local(pattern)
        if not matches:
            place = "" if _SCHEME.match(pattern) else f" (relative paths start from {Path.cwd()})"
            raise TFRecordError(pattern, f"there is no such file{place}; check the path")
        files += matches
    return tuple(dict.fromkeys(files))


def _local(pattern: str) -> list[str]:
    path = os.path.abspath(Path(pattern).expanduser())  # noqa: PTH100 - links stay as they are
    if os.path.isfile(path):  # noqa: PTH113
        return [path]
    if os.path.isdir(path):  # noqa: PTH112
        raise TFRecordError(pattern, f"it is a folder; name the files in it, '{pattern}/*'")
    return sorted(name for name in glob.glob(path, recursive=True) if Path(name).is_file())  # noqa: PTH207


def _remote(pattern: str) -> list[str]:
    import fsspec  # type: ignore[import-untyped,unused-ignore]

    try:
        system, path = fsspec.core.url_to_fs(pattern)
        if glob.has_magic(path):
            return [system.unstrip_protocol(name) for name in sorted(system.glob(path))]
        return [pattern] if system.isfile(path) else []
    except Exception as error:  # any of a plug-in's own
        raise TFRecordError(pattern, f"cannot be opened: {error}") from None


class _Inflating(Struct):
    """How far a compressed file was read: what is needed to go on."""

    decompressor: Any
    compressed_offset: int = 0
    pending: bytes = b""


class Positions(Struct):
    """Where readers of compressed files stopped, so that the next may go on there."""

    _kept: OrderedDict[Hashable, _Inflating] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: Hashable) -> _Inflating | None:
        """Return what was kept under a key, once."""
        with self._lock:
            return self._kept.pop(key, None)

    def keep(self, key: Hashable, state: _Inflating) -> None:
        """Keep a state; the oldest go when there are many, their readers start over."""
        with self._lock:
            self._kept[key] = state
            while len(self._kept) > MOST_POSITIONS:
                self._kept.popitem(last=False)


class Stream:
    """The bytes of one file after decompression, forward from an offset."""

    def __init__(self, name: str, file: BinaryIO, compression: Compression) -> None:
        """Start at the beginning; `file` is open and can seek."""
        self.name, self.offset = name, 0
        self._file = file
        self._inflating = None
        if compression != "none":
            self._bits = WINDOW_BITS[compression]
            self._inflating = _Inflating(zlib.decompressobj(self._bits))

    def seek(self, offset: int, positions: Positions) -> None:
        """Go to an offset: at once, or by decompressing again what no position was kept for."""
        if self._inflating is None:
            self._file.seek(offset)
            self.offset = offset
        elif offset:
            position = positions.take(self._key(offset))
            if position is not None:
                self._inflating, self.offset = position, offset
                self._file.seek(position.compressed_offset)
            while self.offset < offset and self.read(min(BLOCK_BYTES, offset - self.offset)):
                pass

    def keep(self, positions: Positions) -> None:
        """Let a later stream go on from here; this one is at its end."""
        if self._inflating is not None:
            positions.keep(self._key(self.offset), self._inflating)

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer only where the file ends.

        Raises:
            TFRecordError: the compressed data is damaged or ends early.
        """
        data = self._file.read(size) if self._inflating is None else self._inflate(size)
        self.offset += len(data)
        return data

    def _inflate(self, size: int) -> bytes:
        state = self._inflating
        assert state is not None  # noqa: S101 - the caller looked
        parts: list[bytes] = []
        missing = size
        while missing and (state.pending or self._more(state)):
            part, state.pending = state.pending[:missing], state.pending[missing:]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _more(self, state: _Inflating) -> bool:
        """Decompress until there is something pending; return False at the end of the file."""
        while not state.pending:
            compressed = state.decompressor.unconsumed_tail
            if state.decompressor.eof:
                compressed = state.decompressor.unused_data or self._next_block(state)
                if not compressed:
                    return False
                state.decompressor = zlib.decompressobj(self._bits)  # the next member of the file
            compressed = compressed or self._next_block(state)
            if not compressed:
                raise TFRecordError(self.name, "the compressed file ends early; write it again")
            try:
                state.pending = state.decompressor.decompress(compressed, BLOCK_BYTES)
            except zlib.error as error:
                raise TFRecordError(
                    self.name, f"it cannot be decompressed ({error}); write it again"
                ) from None
        return True

    def _next_block(self, state: _Inflating) -> bytes:
        block = self._file.read(BLOCK_BYTES)
        state.compressed_offset += len(block)
        return block

    def _key(self, offset: int) -> Hashable:
        try:
            seen = files.stamp(Path(self.name).stat())
        except OSError:
            return self.name, offset
        return self.name, *seen, offset


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """Open a file as bytes.

    Raises:
        TFRecordError: it cannot be opened or read.
    """
    try:
        if _SCHEME.match(name):
            import fsspec

            with fsspec.open(name, "rb") as file:
                yield file
        else:
            with Path(name).open("rb", buffering=BLOCK_BYTES) as file:
                yield file
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise TFRecordError(name, f"cannot be read: {reason.lower()}") from None
