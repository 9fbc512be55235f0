"""Digests of what a network's variables hold: of a file made once, and kept in the user's cache.

So planning knows which parts of two networks are alike without reading their weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vista_sql import files
from vista_sql.roster.networks import Variable

if TYPE_CHECKING:
    from vista_sql.weights.described import Array

FORMAT = 1
"""Of what is kept, and of how files fill networks; files of another are made anew."""

FOLDER = "variables"
"""In the cache folder."""

MOST_KEPT = 1024
"""Of these files, the latest; one takes some 100 bytes for each variable."""

DIGEST_BYTES = 16


def named(variables: Iterable[Variable], identity: str) -> dict[str, str]:
    """Return digests of variables whose values are told by a name, by their paths.

    Args:
        variables: of a network.
        identity: of network and weights: equal ones give a variable of a path equal values.
    """
    return {one.path: _digest(f"{identity} {one.path}".encode()) for one in variables}


def of_values(
    variables: Iterable[Variable], values: Iterable[tuple[Variable, Array]]
) -> dict[str, str]:
    """Return digests of variables' values as float32, by their paths.

    Args:
        variables: of a network; those without values have their initial ones.
        values: of the others, read one by one: none is held.
    """
    import numpy as np

    def digest(numbers: Array, shape: tuple[int, ...]) -> str:
        whole = np.ascontiguousarray(np.broadcast_to(np.asarray(numbers, "<f4"), shape))
        return _digest(whole.reshape(-1).view(np.uint8).data)

    found = {variable.path: digest(numbers, variable.shape) for variable, numbers in values}
    for one in variables:
        if one.path not in found:
            found[one.path] = digest(one.initial, one.shape)
    return found


def _digest(data: bytes | memoryview) -> str:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


class Kept:
    """The digests of one choice of weights for one network, in the user's cache."""

    def __init__(self, network: str, identity: str, variables: Iterable[Variable]) -> None:
        """Note what they are of; nothing is read.

        Args:
            network: its name in the roster; "" where `identity` tells it.
            identity: of the weights, `WeightsChoice.identity`.
            variables: of the network.
        """
        self._paths = {one.path: one.shape for one in variables}
        what = json.dumps([FORMAT, network, identity, list(self._paths.items())])
        self._name = f"{hashlib.sha256(what.encode()).hexdigest()}.txt"

    def read(self) -> Mapping[str, str] | None:
        """Return them; None: they are not kept, or damaged."""
        with suppress(OSError, RuntimeError):
            return _read(self._path())
        return None

    def write(self, found: Mapping[str, str]) -> None:
        """Keep them; where that cannot be, they are made again next time."""
        body = json.dumps(dict(found))
        with suppress(OSError, RuntimeError):
            path = self._path()
            files.write(path, f"{_sha256(body)}\n{body}\n")
            latest = sorted(path.parent.glob("*.txt"), key=lambda one: one.stat().st_mtime_ns)
            for one in latest[:-MOST_KEPT]:
                one.unlink(missing_ok=True)

    def _path(self) -> Path:
        return files.user_cache() / FOLDER / self._name


def _read(path: Path) -> Mapping[str, str] | None:
    head, _, body = path.read_text(encoding="utf-8").removesuffix("\n").partition("\n")
    with suppress(ValueError):
        if head == _sha256(body):
            return dict(json.loads(body))
    return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
