"""Find, check and load the weights of a CNN; the only file that knows where weights lie.

Resolving needs no TensorFlow: a query is planned, and its features are looked up in the store, by
the sha256 of a file. Keras is imported when a network is built.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from vista_sql import files, roster
from vista_sql.errors import PlanError, UnknownNameError, WeightsError
from vista_sql.roster import Cnn, Network, WeightsFile, networks
from vista_sql.roster.networks import NetworkData, Variable
from vista_sql.weights import described, onnx_files, own_networks, safetensors, variables
from vista_sql.weights.checksums import Digests, digests, read_digests
from vista_sql.weights.described import Array, Description
from vista_sql.weights.onnx_files import UNSAID, Pixels
from vista_sql.weights.published import preprocessing as preprocessing

log = logging.getLogger(__name__)

SUFFIXES = (".weights.h5", ".h5", ".hdf5", ".keras", safetensors.SUFFIX)
COPIED_BYTES = 1 << 20  # at a time
DOWNLOAD_TIMEOUT_SECONDS = 20  # without a byte; a whole file may take longer
HOG_VERSION = 1  # of the values of udfs/network/hog.py


class WeightsChoice(Struct, frozen=True):
    """Which weights a network gets.

    Equal identities mean equal values: a file's sha256 in hexadecimal, 'random:<seed>', or
    'computed:<descriptor>-<version>'. Weights that a user's own network does not bring are followed
    by ' in <its file's sha256>'.
    """

    kind: Literal["imagenet", "bundled", "random", "file", "computed"]
    path: str | None  # absolute; None: random
    seed: int
    identity: str


def facts(cnn: str, pixels: Pixels = UNSAID) -> Cnn:
    """Return the facts about a CNN given by its roster name or by the path of a file that holds it.

    Args:
        cnn: a roster name, or the path of a `.keras` or an `.onnx` file.
        pixels: how an `.onnx` file wants its images, as far as a statement says it.

    Raises:
        UnknownNameError: the roster has no such CNN.
        WeightsError: the file is missing, damaged, or holds no network that can be used.
        HostError: it takes a package that is not installed.
    """
    match roster.kind_of_file(cnn):
        case "keras":
            return from_keras_file(cnn)
        case "onnx":
            return onnx_files.from_onnx_file(cnn, pixels)
    return roster.load(cnn)


def resolve(cnn: Cnn, weights: str | None = None, seed: int = 0) -> WeightsChoice:
    """Choose and check the weights of `cnn`; published ones are downloaded once, if they can be.

    Args:
        cnn: the CNN that the weights are for.
        weights: 'imagenet', 'bundled', 'random', or the path of a file; None is the CNN's default.
        seed: of 'random'; other weights ignore it.

    Raises:
        UnknownNameError: `weights` is no known name and does not look like a file's.
        WeightsError: the file is missing, or is not the one that was published.
    """
    if cnn.name == roster.DESCRIPTOR:
        if weights not in (None, cnn.default_weights):
            raise WeightsError(f"{cnn.name} is computed and has no weights: leave weights out")
        return WeightsChoice("computed", None, 0, f"computed:{cnn.name}-{HOG_VERSION}")
    weights = cnn.default_weights if weights is None else weights
    if roster.kind_of_file(cnn.name) == "onnx":
        if str(Path(weights).expanduser().absolute()) != cnn.name:
            raise WeightsError(f"{cnn.name} has weights of its own: leave weights out")
        return WeightsChoice("file", cnn.name, 0, onnx_files.identity(cnn))
    name = weights.lower()
    if name == "random":
        return WeightsChoice("random", None, seed, f"random:{seed}{_within(cnn)}")
    if name in cnn.weights:
        path = _known_file(cnn, name)
        kind: Literal["imagenet", "bundled"] = "bundled" if name == "bundled" else "imagenet"
        return WeightsChoice(kind, str(path), 0, digests(path).sha256)
    if name == "imagenet":
        raise WeightsError(
            f"{cnn.title} has no published Keras weights; give weights => the path of a file "
            f"({', '.join(SUFFIXES)}) or {_offer(cnn, without=name)}"
        )
    path = Path(weights).expanduser().absolute()
    if not name.endswith(SUFFIXES):
        if path.is_file():
            raise WeightsError(f"weights file {weights!r} is none of {', '.join(SUFFIXES)}")
        known = (*cnn.weights, "random", "the path of a file")
        raise UnknownNameError("weights", weights, known, where=f"cnn {cnn.name!r}")
    if name.endswith(safetensors.SUFFIX) and not cnn.torch_names:
        remedy = f"give weights => one of Keras's files or {_offer(cnn)}"
        if cnn.torch_instead:
            remedy = f"say cnn => {cnn.torch_instead!r}, whose network they fit, or {remedy}"
        raise WeightsError(
            f"no .safetensors file fits {cnn.title}, because {cnn.torch_refused}; {remedy}"
        )
    if not path.is_file():
        raise WeightsError(
            f"there is no weights file {path}; put it there, give another path, or {_offer(cnn)}"
        )
    within = "" if str(path) == cnn.default_weights else _within(cnn)
    return WeightsChoice("file", str(path), 0, digests(path).sha256 + within)


def _within(cnn: Cnn) -> str:
    """Return what tells weights in a user's own network from the same in another of its name."""
    is_file = cnn.name.lower().endswith(".keras")
    return f" in {digests(cnn.name).sha256}" if is_file else ""


def available(cnn: Cnn) -> tuple[str, ...]:
    """Return the names of the weights that `cnn` can have here without a network, default first."""
    names = [name for name, file in cnn.weights.items() if _place(name, file).is_file()]
    return (*sorted(names, key=lambda name: name != cnn.default_weights), "random")


class KnownFile(Struct, frozen=True):
    """A file of weights that a CNN of the roster can have, and whether it is here."""

    cnn: str
    name: str  # 'imagenet', 'bundled'
    file: WeightsFile
    path: Path  # where it lies, or belongs

    @property
    def checksum(self) -> str:
        """What its publisher states, as 'sha256 …' or 'md5 …'."""
        return _checksum(self.file)

    def state(self) -> str:
        """Return 'here' (and whole), 'not here', or 'damaged'; the file is read."""
        if not self.path.is_file():
            return "not here"
        return "here" if _matches(read_digests(self.path), self.file) else "damaged"


def known_files() -> tuple[KnownFile, ...]:
    """Return every file of weights that is published or bundled, by CNN."""
    return tuple(
        KnownFile(cnn.name, name, file, _place(name, file))
        for cnn in map(roster.load, roster.names())
        for name, file in cnn.weights.items()
    )


def add(path: Path) -> KnownFile:
    """Put a published file where it is looked for, after its checksum; return what it is.

    Raises:
        WeightsError: it is no published file, or a damaged one.
        OSError: it cannot be read, or copied.
    """
    digest = read_digests(path)
    for known in known_files():
        if _matches(digest, known.file):
            known.path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as source, files.whole(known.path) as target:
                shutil.copyfileobj(source, target, COPIED_BYTES)
            return known
    for known in known_files():
        if known.file.file == path.name:
            raise WeightsError(
                f"{path} is not the file published as weights {known.name!r} of {known.cnn}, which "
                f"has {known.checksum}; this has sha256 {digest.sha256}, md5 {digest.md5}: fetch "
                f"{known.file.url} again"
            )
    raise WeightsError(
        f"{path} (sha256 {digest.sha256}) is not a published file that vista_sql knows; name a "
        "file of your own in the statement, weights => 'FILE'"
    )


def load_network(cnn: Cnn | str, choice: WeightsChoice) -> Network:
    """Build a network and give it its weights.

    Args:
        cnn: facts, a roster name, or the path of a `.keras` file.
        choice: what `resolve` returned for this CNN.

    Returns:
        A Keras functional model that takes preprocessed float32 (batch, height, width, channels).

    Raises:
        WeightsError: the file is damaged, or of another network; names the first layer at odds.
    """
    from vista_sql.weights import keras_files

    cnn = facts(cnn) if isinstance(cnn, str) else cnn
    with keras_files.kept_random_state():
        network = cnn.build()
    if choice.path is not None and cnn.catalogue is not None:
        if choice.path != cnn.name:
            keras_files.fill_by_keras(network, cnn.name, choice.path)
        return network
    description, holders = described.of_keras(network)
    for variable, values in _values(description, cnn, choice):
        holders[variable].assign(values)
    if choice.path is not None:
        keras_files.finish(network)
    return network


def load_arrays(cnn: Cnn, choice: WeightsChoice) -> dict[str, Array]:
    """Return the weights of a CNN, without Keras: the values that it would load.

    Args:
        cnn: facts about it.
        choice: what `resolve` returned for it.

    Returns:
        Float32 arrays by the paths of `vista_sql.roster.networks`' variables.

    Raises:
        PlanError: only TensorFlow can run it.
        WeightsError: the file is damaged, or of another network; names the first layer at odds.
    """
    import numpy as np

    from vista_sql.weights import hdf5

    network = network_data(cnn)
    description = described.of_data(network)
    found: dict[Variable, Array] = {}
    if choice.path is None and cnn.catalogue is not None:  # what is not drawn is the file's
        found = dict(hdf5.read(description, cnn.name, cnn.name))
    found |= _values(description, cnn, choice)
    arrays = {}
    for one in network.variables:
        kept = np.asarray(found.pop(one) if one in found else one.initial, np.float32)
        arrays[one.path] = np.ascontiguousarray(np.broadcast_to(kept, one.shape))
    return arrays


def variable_digests(cnn: Cnn, choice: WeightsChoice) -> Mapping[str, str]:
    """Return digests of what a network's variables hold, by `Variable.path`; no array is kept.

    Equal ones are of equal values. A file is read for them once.

    Raises:
        PlanError, WeightsError: as `load_arrays`.
    """
    network = network_data(cnn)
    name = "" if roster.kind_of_file(cnn.name) else cnn.name
    if choice.path is None:
        return variables.named(network.variables, f"{name} {choice.identity}")
    kept = variables.Kept(name, choice.identity, network.variables)
    found = kept.read()
    if found is None:
        values = _values(described.of_data(network), cnn, choice)
        found = variables.of_values(network.variables, values)
        if choice.identity.startswith(digests(choice.path).sha256):  # not written anew meanwhile
            kept.write(found)
    return found


def _values(
    network: Description, cnn: Cnn, choice: WeightsChoice
) -> Iterator[tuple[Variable, Array]]:
    from vista_sql.weights import hdf5, random_weights

    if choice.path is None:
        return random_weights.draw(network, choice.seed, cnn.preprocessing)
    if choice.path.lower().endswith(safetensors.SUFFIX):
        return safetensors.read(network, cnn, choice.path)
    return hdf5.read(network, cnn.name, choice.path)


def from_keras_file(path: str) -> Cnn:
    """Return the facts about a network that a user saved as a `.keras` file.

    Its layers have the names they have in the file, those of a network in it `<network>/<layer>`;
    offered by default, and counted from the top, are the last few that hold parameters of the
    outermost network, each by its first call. It gets RGB or gray pixels, 0 to 255, as float32:
    such a network scales them itself. Keras reads the file when it is first used, in a process of
    its own.

    Raises:
        WeightsError: the file is missing or damaged, or the network does not take one image of
            fixed height and width with 1 or 3 channels.
        HostError: Keras has to read it, and is not here.
    """
    return own_networks.facts(*_own_file(path))


def network_data(cnn: Cnn) -> NetworkData:
    """Return a CNN's network as data, without Keras.

    Raises:
        PlanError: only TensorFlow can run it.
        WeightsError: it is a user's own, and its file cannot be read any more.
        HostError: Keras has to read that, and is not here.
    """
    if cnn.catalogue is None:
        return networks.read(cnn.name)
    own = own_networks.of_file(*_own_file(cnn.name), as_data=True)
    if own.data is None:
        raise PlanError(
            f"no engine but TensorFlow can run {own.only_tensorflow} of {cnn.name}: take engine => "
            "'tensorflow'"
        )
    return own.data


def _own_file(path: str) -> tuple[str, tuple[int, ...]]:
    """Return a file's absolute path, and its `files.stamp`."""
    absolute = Path(path).expanduser().absolute()
    if not absolute.is_file():
        raise WeightsError(f"there is no file {absolute}, which cnn => … names")
    return str(absolute), files.stamp(absolute.stat())


def keras_folder() -> Path:
    """Return the folder in which Keras keeps published weights: `$KERAS_HOME/models`."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def _known_file(cnn: Cnn, name: str) -> Path:
    """Return the place of published or bundled weights, downloaded if need be, and checked."""
    file = cnn.weights[name]
    path = _place(name, file)
    checksum = _checksum(file)
    if not path.is_file():
        try:
            if not file.url:
                raise FileNotFoundError("the installation is incomplete")
            _download(file, path)
        except OSError as error:
            raise WeightsError(
                f"weights {name!r} of {cnn.name} are not here and cannot be downloaded ({error}): "
                f"put {file.file} ({checksum}{', from ' + file.url if file.url else ''}) into "
                f"{path.parent}, give weights => the path of a file, or {_offer(cnn, without=name)}"
            ) from error
    if not _matches(digests(path), file):
        raise WeightsError(
            f"{path} is not the file published as weights {name!r} of {cnn.name}, which has "
            f"{checksum}: remove it and fetch {file.url or file.file} again"
        )
    return path


def _place(name: str, file: WeightsFile) -> Path:
    folder = Path(roster.__file__).parent if name == "bundled" else keras_folder()
    return folder / file.file


def _checksum(file: WeightsFile) -> str:
    return f"sha256 {file.sha256}" if file.sha256 else f"md5 {file.md5}"


def _matches(found: Digests, file: WeightsFile) -> bool:
    return file.sha256 in (None, found.sha256) and file.md5 in (None, found.md5)


def _offer(cnn: Cnn, without: str = "") -> str:
    others = [f"'{name}'" for name in (*cnn.weights, "random") if name != without]
    return f"use weights => {' or '.join(others)}"


def _download(file: WeightsFile, target: Path) -> None:
    """Fetch a published file; it appears under its name only when it is whole."""
    import urllib.request  # a quarter of the time that all else of planning takes to load

    log.info("downloading %s to %s", file.url, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder) / file.file
        with (
            urllib.request.urlopen(file.url, timeout=DOWNLOAD_TIMEOUT_SECONDS) as response,
            part.open("wb") as out,
        ):
            shutil.copyfileobj(response, out, COPIED_BYTES)
        if not _matches(read_digests(part), file):
            raise OSError(f"what {file.url} returned has another checksum than was published")
        part.replace(target)
