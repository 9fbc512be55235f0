"""What a user's `.keras` file holds, as data: read by Keras once, kept in the cache folder.

Keras reads it in a process of its own, so that no backend is imported into the user's. What is kept
is found by the file's sha256, and believed as long as its own is right; else it is made anew. Files
with code in them that is neither Keras's nor ours are read where that code may be, in this process,
each time; nothing is kept of them.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from vista_sql import catalog, files, kernels, roster
from vista_sql.errors import WeightsError
from vista_sql.roster import Cnn, Layer, Preprocessing, networks
from vista_sql.roster.networks import NetworkData
from vista_sql.weights import kept_networks
from vista_sql.weights.checksums import digests

FORMAT = 2
"""Of what is kept; files of another are made anew."""

FOLDER = "networks"
"""In the cache folder."""

MOST_KEPT = 256
"""Of these networks, the latest."""

MOST_CONFIG_BYTES = 64 << 20
"""Of the description of a network that is looked at here; Keras reads, or refuses, longer ones."""

OFFERED_LAYERS = 4
"""How many layers of a network are offered by default."""

CONFIG = "config.json"  # in the archive that a `.keras` file is
KNOWN_CODE = frozenset({"keras", "vista_sql"})
"""Packages whose classes and functions are known where a file is read."""


class OwnNetwork(Struct, frozen=True):
    """All that is known of a network in a `.keras` file but its weights."""

    input_shape: tuple[int, int, int]  # (height, width, channels)
    parameters: int
    revision: str  # Cnn.revision
    layers: tuple[Layer, ...]  # the catalogue
    data: NetworkData | None  # None: only Keras can say what it computes
    only_tensorflow: str | None  # Cnn.only_tensorflow; None if there are data
    is_checked: bool = False  # the data's values were compared with Keras's


@lru_cache(maxsize=16)
def of_file(path: str, stamp: tuple[int, ...], as_data: bool) -> OwnNetwork:
    """Return what a file holds; Keras reads it if that is not known yet.

    Args:
        path: of the file, absolute.
        stamp: `files.stamp` of it.
        as_data: whether an engine is to run the data, which are to be checked then.

    Raises:
        WeightsError: the file is damaged, or holds no network that can be used.
        HostError: Keras has to read it, and is not here.
    """
    del stamp  # it tells this file from others of its name
    if not zipfile.is_zipfile(path):
        raise WeightsError(
            f"{path} cannot be loaded as a Keras network: it is no zip archive, as `.keras` files "
            "are; write it again by model.save of Keras 3"
        )
    reader = partial(catalog.module, kernels.PACKAGE, "network.own_network")
    layer = _foreign_layer(path)
    if layer is not None:
        return _read_with_its_code(reader(), path, layer)
    kept = files.user_cache() / FOLDER / f"{digests(path).sha256}.txt"
    found = _said_by(path) or _kept(kept, path)
    if found is None or (as_data and found.data and not found.is_checked and reader().can_check()):
        found = reader().read_anywhere(path, as_data)
        with suppress(OSError):
            files.write(kept, written(found))
            _forget_oldest(kept.parent)
    return found


@lru_cache(maxsize=16)
def facts(path: str, stamp: tuple[int, ...]) -> Cnn:
    """Return the facts about the network in a file.

    Raises:
        WeightsError: as `of_file` does.
        HostError: as `of_file` does.
    """
    from vista_sql.weights import keras_files

    own = of_file(path, stamp, as_data=False)
    channels = own.input_shape[-1]
    outermost = [x.name for x in own.layers if x.parameters and not {"/", "#"} & set(x.name)]
    offered = tuple(outermost[-OFFERED_LAYERS:]) or (own.layers[-1].name,)
    cnn = Cnn(
        name=path,
        title=_called(Path(path)),
        paper="",
        input_shape=own.input_shape,
        parameters=own.parameters,
        aliases={},
        feature_layers=offered,
        counted_layers=offered,
        preprocessing=Preprocessing(
            order="gray" if channels == 1 else "rgb",
            mean=(0.0,) * channels,
            scale=(1.0,) * channels,
            source="pixels as they are: the network is taken to scale them itself",
        ),
        build=partial(keras_files.read_network, path),
        default_weights=path,
        catalogue=own.layers,
        revision=own.revision,
        only_tensorflow=own.only_tensorflow,
    )
    said = kept_networks.read(path)
    if said is not None:
        return replace(cnn, **kept_networks.facts(said))
    top = cnn.layers[-1]
    joints = (one.name for one in roster.block_ends(cnn) if cnn.determines(one, top))
    return replace(cnn, joints=tuple(joints))


def foreign(config: object, within: tuple[str, ...] = ()) -> str | None:
    """Return the first layer of a network that has code in it which is neither Keras's nor ours.

    Args:
        config: Keras's description of the network, or a part of it.
        within: the names of the network and of the layers that the part stands in.

    Example:
        >>> own = {"class_name": "Own", "module": "theirs", "config": {"name": "deep"}}
        >>> layers = [{"class_name": "Conv2D", "module": "keras.layers", "config": {}}, own]
        >>> foreign({"class_name": "Sequential", "config": {"name": "net", "layers": layers}})
        'deep'
    """
    if isinstance(config, list):
        parts = config
    elif isinstance(config, dict):
        own = config.get("config")
        if "class_name" in config and isinstance(own, dict) and isinstance(own.get("name"), str):
            within = (*within, own["name"])
        if _is_foreign(config):
            return "/".join(within[1:] or within) or str(config["class_name"])
        parts = [part for name, part in config.items() if name != "compile_config"]
    else:
        return None
    return next(filter(None, (foreign(part, within) for part in parts)), None)


def _is_foreign(config: dict[str, Any]) -> bool:
    kind = config.get("class_name")
    if kind == "__lambda__":
        return True
    if not isinstance(kind, str) or kind.startswith("__"):  # a value: a tensor, a slice
        return False
    origin = config.get("module") or config.get("registered_name") or "keras"
    package = str(origin).partition(".")[0].partition(">")[0]
    return package not in KNOWN_CODE and not (package == "builtins" and kind != "function")


def _foreign_layer(path: str) -> str | None:
    """Return the layer of a file that has foreign code; what is damaged is Keras's to say."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(CONFIG) as file:
            return foreign(json.loads(file.read(MOST_CONFIG_BYTES)))
    except (
        *(OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile, zlib.error),
        *(NotImplementedError, RuntimeError),  # a compression that Python has not; encrypted
    ):
        return None


def _read_with_its_code(reader: Any, path: str, layer: str) -> OwnNetwork:
    try:
        found: OwnNetwork = reader.read(path)
    except WeightsError as error:
        if error.__cause__ is None:  # Keras loaded it: it is something else
            raise
        raise WeightsError(
            f"layer {layer!r} has code of its own, which must be registered with Keras in this "
            f"process before the file is used (a lambda's is not run): {error}"
        ) from error
    reason = f"layer {layer!r}, which has code of its own"
    return replace(found, data=None, only_tensorflow=reason)


def _said_by(path: str) -> OwnNetwork | None:
    """Return what a file that VISTA_FINETUNE kept says of itself; None: it is no such file."""
    known = kept_networks.read(path)
    try:
        return None if known is None else parsed(known["network"], path)
    except (ValueError, KeyError, TypeError):
        return None


def _kept(path: Path, name: str) -> OwnNetwork | None:
    """Return what is kept in a file; None where it is absent, damaged or of another format."""
    try:
        return parsed(path.read_text(encoding="utf-8"), name)
    except (OSError, ValueError):
        return None


def _forget_oldest(folder: Path) -> None:
    latest = sorted(folder.glob("*.txt"), key=lambda one: one.stat().st_mtime_ns)
    for one in latest[:-MOST_KEPT]:
        one.unlink(missing_ok=True)


def written(network: OwnNetwork) -> str:
    """Return the text that is kept: its format and its body's sha256, then the body."""
    from vista_sql.roster.catalogue import entries

    body = json.dumps(
        {
            "input_shape": network.input_shape,
            "parameters": network.parameters,
            "revision": network.revision,
            "layers": entries.written(network.layers),
            "data": None if network.data is None else networks.written(network.data),
            "only_tensorflow": network.only_tensorflow,
            "is_checked": network.is_checked,
        }
    )
    return f"{FORMAT} {_sha256(body)}\n{body}\n"


def parsed(text: str, name: str) -> OwnNetwork:
    """Return the network that `written` gave the text of.

    Args:
        text: what it returned.
        name: what the network is called.

    Raises:
        ValueError: the text is damaged, or of another format.
    """
    head, _, body = text.removesuffix("\n").partition("\n")
    if head != f"{FORMAT} {_sha256(body)}":
        raise ValueError("it is damaged, or of another format")
    record = json.loads(body)
    height, width, channels = record["input_shape"]
    return OwnNetwork(
        (height, width, channels),
        record["parameters"],
        record["revision"],
        roster.parsed(record["layers"]),
        None if record["data"] is None else networks.parsed(name, record["data"]),
        record["only_tensorflow"],
        record["is_checked"],
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _called(path: Path) -> str:
    """Return what a network is called: its file, of one that was tuned here its version too.

    Example:
        >>> _called(Path("a/b.keras")), _called(Path("x.vista/models/tuned/2/tuned.keras"))
        ('b', 'tuned@2')
    """
    folder = path.parent
    is_kept = folder.name.isdigit() and folder.parent.name == path.stem
    return f"{path.stem}@{folder.name}" if is_kept else path.stem
