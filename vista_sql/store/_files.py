"""The files of a store: LMDB, opened once in a process, moved aside when damaged, compacted."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from msgspec import Struct

from vista_sql.errors import StoreError
from vista_sql.once import once

if TYPE_CHECKING:
    import lmdb
    from lmdb import _Database as Table

try:
    import fcntl
except ModuleNotFoundError:  # Windows, which moves no file that a process has open
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

MAP_BYTES = 1 << 40  # of address space, not of disk; the file grows as it is written
MAX_READERS = 1024  # read transactions at once, over all processes
GROWTH_BYTES = 64 << 20  # a small store's file may hold gaps of so much


class Open(Struct, frozen=True):
    """An open LMDB environment."""

    env: lmdb.Environment
    spaces: Table
    entries: Table
    file: tuple[int, int]  # device and inode of the data file


class Transaction(Struct, frozen=True):
    """A transaction upon the tables of a store."""

    txn: lmdb.Transaction[memoryview]
    spaces: Table  # the key of a space → what is held of it
    entries: Table  # the key of a space and an image's digest → values


class Files:
    """The files of one store, opened at most once in a process, as LMDB demands."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._place = self._folder / "features"
        self._data = self._place / "data.mdb"
        self._pid = os.getpid()
        self._state = threading.Condition()
        self._open: Open | None = None
        self._opening: tuple[int, int] | None = None  # the data file that was last opened
        self._active = 0
        self._stale = False  # another process made the file larger than our map

    def size_bytes(self) -> int:
        """Return the bytes that the files take on disk."""
        try:
            status = self._data.stat()
        except OSError:
            return 0
        return status.st_blocks * 512 if hasattr(status, "st_blocks") else status.st_size

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[Transaction | None]:
        """Enclose a transaction; None: there is no store, and none is made for reading.

        Raises:
            StoreError: the store cannot be used. A damaged one is moved aside, once.
        """
        import lmdb

        if self._pid != os.getpid() or not (write or self._data.exists()):
            yield None
            return
        with self._failing(lmdb):
            opened, txn = self._begun(write=write)
            try:
                with txn:
                    yield Transaction(txn, opened.spaces, opened.entries)
            finally:
                self._leave()

    def _begun(self, *, write: bool) -> tuple[Open, lmdb.Transaction[memoryview]]:
        """Begin a transaction, upon files opened anew where the ones that are open are no good."""
        import lmdb

        while True:
            opened = self._enter()
            try:
                return opened, opened.env.begin(write=write, buffers=True)
            except lmdb.MapResizedError:
                self._leave()
                self._stale = True
            except BaseException:
                self._leave()
                raise

    @contextmanager
    def _failing(self, lmdb: ModuleType) -> Iterator[None]:
        broken = (
            lmdb.BadChecksumError,
            lmdb.CorruptedError,
            lmdb.PageNotFoundError,
            lmdb.InvalidError,
            lmdb.VersionMismatchError,
            lmdb.PanicError,
            _Truncated,
        )
        try:
            yield
        except broken as error:
            reason = self._move_aside(str(error) or type(error).__name__)
            raise BegunAnew(reason) from error
        except (lmdb.Error, OSError) as error:
            raise StoreError(
                f"the feature store {self._folder} cannot be used: {error}; give store => another "
                "folder, or store => false to work without it"
            ) from error

    def _enter(self) -> Open:
        with self._state:
            while self._stale or not self._is_current():
                if self._active:
                    self._state.wait()
                    continue
                self._close()
                self._open = self._opened()
            self._active += 1
            assert self._open is not None  # noqa: S101  (just opened)
            return self._open

    def _leave(self) -> None:
        with self._state:
            self._active -= 1
            self._state.notify_all()

    def _is_current(self) -> bool:
        """Return whether what is open is still what lies in the folder."""
        return self._open is not None and _file(self._data) == self._open.file

    def _close(self) -> None:
        if self._open is not None:
            self._open.env.close()
        self._open, self._stale = None, False

    def _opened(self) -> Open:
        import lmdb

        self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._moving(alone=False):
            self._opening, map_bytes = _file(self._data), MAP_BYTES
            while True:
                try:
                    env = self._environment(map_bytes)
                    break
                except (lmdb.MemoryError, MemoryError):  # ulimit -v
                    if map_bytes <= 1 << 30:
                        raise
                    map_bytes >>= 2
            try:
                env.reader_check()  # slots of processes that were killed
                info, stat = env.info(), env.stat()
                if self._data.stat().st_size < (info["last_pgno"] + 1) * stat["psize"]:
                    raise _Truncated(f"{self._data} is shorter than it says")
                spaces = env.open_db(b"spaces")
                entries = env.open_db(b"entries")
            except BaseException:
                env.close()
                raise
            return Open(env, spaces, entries, _file(self._data) or (0, 0))

    def _environment(self, map_bytes: int) -> lmdb.Environment:
        """Open LMDB.

        `metasync=False`: a commit waits until its pages are on disk, the root that points to them
        goes with the next commit. After kill -9 nothing is lost; after a power cut the last
        batch may be, and the file is whole either way. Without `writemap` no stray pointer of this
        process can write to it.
        """
        import lmdb

        return lmdb.open(
            str(self._place),
            map_size=map_bytes,
            metasync=False,
            max_dbs=2,
            max_readers=MAX_READERS,
            readahead=False,  # values lie where their digests put them
            mode=0o600,
        )

    @contextmanager
    def _moving(self, *, alone: bool) -> Iterator[None]:
        """Hold the lock under which the files are opened (shared) or moved (alone)."""
        with (self._folder / "lock").open("ab") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield

    def _move_aside(self, why: str) -> str:
        """Move a damaged store away, so that the next transaction begins an empty one."""
        with self._state:
            while self._active:
                self._state.wait()
            damaged = self._opening if self._open is None else self._open.file
            self._close()
            with self._moving(alone=True):
                if damaged == _file(self._data):  # else another process was quicker
                    aside = self._folder / "damaged"
                    shutil.rmtree(aside, ignore_errors=True)
                    self._place.rename(aside)
        reason = f"the feature store {self._folder} was damaged ({why}) and begins anew"
        log.warning("%s; what there was is in %s", reason, self._folder / "damaged")
        return reason

    def compact(self) -> None:
        """Write the file anew without its gaps; what others write meanwhile is lost, as a cache."""
        import lmdb

        fresh = self._folder / f"compacted-{os.getpid()}"
        try:
            with self._failing(lmdb):
                opened = self._enter()
                try:
                    shutil.rmtree(fresh, ignore_errors=True)
                    fresh.mkdir(mode=0o700)
                    opened.env.copy(str(fresh), compact=True)
                finally:
                    self._leave()
                self._replace(fresh)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def remove(self) -> None:
        """Remove the files; processes that have them open begin anew."""
        import lmdb

        if self._folder.exists():
            with self._failing(lmdb):
                self._replace(None)
                shutil.rmtree(self._folder / "damaged", ignore_errors=True)

    def _replace(self, fresh: Path | None) -> None:
        old = self._folder / f"old-{os.getpid()}"
        with self._state:
            while self._active:
                self._state.wait()
            self._close()
            with self._moving(alone=True):
                if self._place.exists():
                    self._place.rename(old)
                if fresh is not None:
                    fresh.rename(self._place)
        shutil.rmtree(old, ignore_errors=True)


class BegunAnew(StoreError):
    """The store was damaged; there is an empty one now."""


class _Truncated(Exception):
    """The data file lacks its end: to read there would end the process."""


def _file(path: Path) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - once per transaction
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def files(folder: str) -> Files:
    """Return the files of a folder: the same object however this process names it."""
    return _of_place(os.path.realpath(folder))


@once
def _of_place(folder: str) -> Files:
    return Files(folder)
