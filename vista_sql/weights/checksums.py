"""Checksums of files that are too large to be read in every process: kept in the user's cache.

What is kept is believed as long as the file is the same by all that the file system says of it.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from msgspec import Struct, to_builtins

from vista_sql import files

VERSION = 1
"""Of the file's meaning; a file of another version is not read."""

KEPT_FROM_BYTES = 4 << 20
"""Smaller files are read in a few milliseconds; nothing is kept of them."""

MOST_FILES = 256
"""Of these the checksums are kept, the latest."""

SETTLED_SECONDS = 2.0
"""A file that changed a shorter time ago may change again and show the same time: the coarsest
clock of a file system in use, FAT's, ticks so often."""


class Digests(Struct, frozen=True):
    """Checksums of a file, in hexadecimal."""

    sha256: str
    md5: str


def digests(path: str | Path) -> Digests:
    """Return the checksums of a file, which is read once unless it changes.

    Raises:
        OSError: it cannot be read.
    """
    seen = files.stamp(Path(path).stat())
    return _known(str(Path(path).absolute()), seen, files.user_cache() / "checksums.json")


def read_digests(path: str | Path) -> Digests:
    """Return the checksums of a file, which is read now.

    Raises:
        OSError: it cannot be read.
    """
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
            md5.update(block)
    return Digests(sha256.hexdigest(), md5.hexdigest())


@lru_cache(maxsize=64)
def _known(path: str, seen: tuple[int, ...], cache: Path) -> Digests:
    size, changed = seen[0], max(seen[1:3]) / 1e9
    if size < KEPT_FROM_BYTES:
        return read_digests(path)
    entry = _read(cache).get(path)
    if entry is not None and entry[0] == seen:
        return entry[1]
    began = time.time()
    checksums = read_digests(path)
    if changed < began - SETTLED_SECONDS:
        _keep(cache, path, seen, checksums)
    return checksums


def _read(cache: Path) -> dict[str, tuple[tuple[int, ...], Digests]]:
    """Return what is kept by path; nothing where the file is absent or damaged."""
    try:
        record = json.loads(cache.read_text(encoding="utf-8"))
        if record["version"] != VERSION:
            return {}
        return {
            path: (tuple(map(int, one["seen"])), Digests(_hex(one, "sha256"), _hex(one, "md5")))
            for path, one in record["files"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _hex(one: dict[str, str], name: str) -> str:
    if len(bytes.fromhex(one[name])) != hashlib.new(name, usedforsecurity=False).digest_size:
        raise ValueError(f"no {name}")
    return one[name]


def _keep(cache: Path, path: str, seen: tuple[int, ...], found: Digests) -> None:
    """Add a file's checksums; where that cannot be, it is read again next time."""
    others = {p: known for p, known in _read(cache).items() if p != path and Path(p).is_file()}
    latest = dict([*others.items(), (path, (seen, found))][-MOST_FILES:])
    shown = {p: {"seen": times, **to_builtins(one)} for p, (times, one) in latest.items()}
    with suppress(OSError):
        files.write(cache, json.dumps({"version": VERSION, "files": shown}))
