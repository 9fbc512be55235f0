"""A compiled model ↔ a file in the user's cache: what the next process need not compile.

It then needs neither the network's weights nor ONNX: a ResNet50 is ready in .11 s instead of .55 s
(2 cores, weights in the page cache).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from vista_sql import files, store
from vista_sql.roster import Cnn

from ...engine import Dtype

FORMAT = b"vista-openvino 1"
"""What a file begins with; of another meaning, another."""

SMALLEST_BYTES = 8 << 20
"""Of a network's weights: a smaller one is compiled as fast as it is read."""

LARGEST_BYTES = 256 << 20
"""Of a network's weights: to keep a model takes as much memory as they do."""

FOLDER_BYTES = 4 << 30
"""All files take no more; those that were not used for longest go."""

FLOAT_BYTES, CHECK_BYTES = 4, 4
COPIED_BYTES = 1 << 20  # at a time

ABANDONED_SECONDS = 3600
"""A file that was not completed in so long is of a process that was killed."""


class Places:
    """Where the compiled models of one network are kept."""

    def __init__(
        self, cnn: Cnn, identity: str, output: str, dtype: Dtype, threads: int | None
    ) -> None:
        """Note what decides what they compute, and whether they can be used here.

        Args:
            cnn: facts about it.
            identity: what tells its weights from others.
            output: the layer at its top.
            dtype: of the arithmetic.
            threads: of one inference.
        """
        space = store.space(
            cnn, identity, output, dtype=dtype,
            device=store.device_class("cpu"), engine="openvino",
        )  # fmt: skip
        self._described = (space, threads)
        self._weight_bytes = FLOAT_BYTES * cnn.parameters

    def of(self, *key: object) -> Path | None:
        """Return the file of the model that `key` tells from the others; None: it is not kept."""
        return place((*self._described, *key), self._weight_bytes)


def place(described: Sequence[object], weight_bytes: int) -> Path | None:
    """Return the file of a compiled model.

    Args:
        described: all that decides what it computes, and whether it can be used here.
        weight_bytes: of the network.

    Returns:
        None: the model is not kept.
    """
    if not SMALLEST_BYTES <= weight_bytes <= LARGEST_BYTES:
        return None
    with suppress(RuntimeError):  # there is no home folder
        name = hashlib.sha256(repr((FORMAT, *described)).encode()).hexdigest()
        return files.user_cache() / "compiled" / f"{name}.openvino"
    return None


def read(path: Path) -> np.ndarray | None:
    """Return a compiled model, uint8 (bytes,); None: there is none, or it is damaged.

    It is the file itself, mapped into memory, and in it while the array is there: to read it takes
    twice as long as all that OpenVINO does with it.
    """
    with suppress(OSError, ValueError):  # ValueError: it is empty
        held = np.memmap(path, np.uint8, mode="c")  # OpenVINO takes only what can be written
        head, model = held[: len(FORMAT)], held[len(FORMAT) + CHECK_BYTES :]
        check = held[len(FORMAT) : len(FORMAT) + CHECK_BYTES]
        if bytes(head) == FORMAT and bytes(check) == _check(model.data):
            with suppress(OSError):
                path.touch()  # it was used
            return model
    return None


def keep(path: Path, model: memoryview) -> None:
    """Write a compiled model, and make room for it; where that cannot be, it is not kept."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.whole(path) as file:
            for part in (FORMAT, _check(model), model):
                file.write(part)
        _make_room(path.parent)


def _check(model: memoryview) -> bytes:
    import google_crc32c

    found = 0
    for start in range(0, len(model), COPIED_BYTES):  # it takes nothing but bytes
        found = google_crc32c.extend(found, bytes(model[start : start + COPIED_BYTES]))
    return int(found).to_bytes(CHECK_BYTES, "little")


def _make_room(folder: Path) -> None:
    for half in folder.glob("*.half"):
        if time.time() - half.stat().st_mtime > ABANDONED_SECONDS:
            half.unlink(missing_ok=True)
    found = [(one.stat(), one) for one in folder.glob("*.openvino")]
    left = FOLDER_BYTES
    for status, one in sorted(found, key=lambda pair: pair[0].st_mtime, reverse=True):
        left -= status.st_size
        if left < 0:
            one.unlink(missing_ok=True)
