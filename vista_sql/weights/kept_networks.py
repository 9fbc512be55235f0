"""Networks that VISTA_FINETUNE keeps: `.keras` files that say of themselves what we know of them.

Keras reads such a file like any other. A member of the archive that it passes over holds the
network as data, so that nobody needs Keras to run it, and the facts that a `.keras` file does not
have: the names and the preprocessing of the network that it was made from.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from vista_sql.roster import Cnn, Preprocessing

MEMBER = "vista.json"
FORMAT = 1

NAMES = ("aliases", "feature_layers", "counted_layers", "joints")
"""Fields of `Cnn` that name layers."""


def add(path: Path, cnn: Cnn, network: str) -> None:
    """Add to a `.keras` file what we know of it.

    Args:
        path: of the file, as Keras wrote it.
        cnn: the facts about the network that it was made from, its preprocessing the one used.
        network: the text of `own_networks.written`.
    """
    known = {
        "format": FORMAT,
        "network": network,
        "preprocessing": to_builtins(cnn.preprocessing),
        **{name: getattr(cnn, name) for name in NAMES},
    }
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, json.dumps(known))


def read(path: str) -> Mapping[str, Any] | None:
    """Return what `add` put into a file; None: nothing that can be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            known = json.loads(archive.read(MEMBER))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, zlib.error, RuntimeError):
        return None
    return known if isinstance(known, dict) and known.get("format") == FORMAT else None


def facts(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Cnn` that a file says of itself."""
    said = known["preprocessing"]
    tuples = {name: tuple(value) for name, value in said.items() if isinstance(value, list)}
    return {
        "aliases": dict(known["aliases"]),
        "feature_layers": tuple(known["feature_layers"]),
        "counted_layers": tuple(known["counted_layers"]),
        "joints": tuple(known.get("joints", ())),  # 0.1 did not write them
        "preprocessing": Preprocessing(**{**said, **tuples}),
    }
