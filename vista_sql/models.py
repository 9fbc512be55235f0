"""The registry of trained models: a folder that several processes and hosts share.

    <home>/models/<name>/<version>/model.json    what was trained, on what, how well: a row a model
                                  /<row>.npz     the row's arrays
                                  /<name>.keras  the network, where one was tuned

A version is written beside its place and renamed into it, so that readers see all of it or nothing.
References: `healthy` (newest version, best row by f1_score or r2), `healthy/avg_pool`, `healthy@3`,
`healthy/avg_pool@3`, and `healthy/avg_pool:0.1@3` where several `reg` were trained; any case.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from msgspec import Struct

from vista_sql.errors import ModelError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}")
NAME_WORDS = "letters a to z, digits, '_', '-', '.' and spaces"
REFERENCE = re.compile(r"(?P<name>[^/@]+)(?:/(?P<part>.*?))?(?:@(?P<version>\d+))?")
DOCUMENT = "model.json"
SELECTED = "selected"  # what a reference may call models of a fraction of all layers' features
FORMAT = 1

OWN = "model:"
"""What `cnn => 'model:NAME'` begins with; alone, in a record, the network of the same version."""


class ModelRow(TypedDict):
    """What model.json holds of one model: what it is made of, how it was fitted, how well it did.

    Figures are None where there were no test rows, or none of some class.
    """

    part: str  # the model's name within its version: 'fc6', 'fc6:0.1'
    trainer: str
    feature_set: str  # 'structured+fc6'
    layer: str | None
    structured: list[str]  # columns
    layers: list[tuple[str, int]]  # columns and their lengths
    fill: NotRequired[list[float] | None]  # for NULL in columns of numbers; then as many say where
    levels: NotRequired[dict[str, list[str | None]]]  # of text columns, one-hot; then one of others
    n_train: int
    n_test: int
    n_skipped: int
    dims: int  # features
    reg: float | None  # None: the trainer has no penalty
    l1_ratio: float | None
    fraction: NotRequired[float | None]  # of the features of all layers; None: no selection
    iterations: int | None
    converged: bool
    objective: float
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1_score: float | None
    f1_score_std: float | None  # over folds
    roc_auc: float | None
    log_loss: float | None
    r2: NotRequired[float | None]  # of a number; then there are no figures of classes
    mae: NotRequired[float | None]
    rmse: NotRequired[float | None]
    roc: Sequence[float] | None  # true-positive rates at the document's `roc_at`
    confusion: Sequence[tuple[int, int, int]]  # expected class, predicted class, rows
    points: NotRequired[Sequence[tuple[float, float]]]  # expected and predicted number of some rows
    seconds: float
    lift: NotRequired[float | None]  # this and what follows needs the other rows
    is_best: NotRequired[bool]
    confidence: NotRequired[float | None]
    warning: NotRequired[str | None]
    file: NotRequired[str]  # of the arrays, beside model.json


class Model(Struct, frozen=True):
    """One row of one version: a model that can score."""

    folder: Path
    name: str
    version: int
    document: Mapping[str, Any]
    row: ModelRow

    @property
    def reference(self) -> str:
        """The exact reference, with version."""
        return f"{self.name}/{self.row['part']}@{self.version}"

    @property
    def label(self) -> str:
        """The column that was learned."""
        return str(self.document["label"])

    @property
    def label_type(self) -> str:
        """The label's SQL type."""
        return str(self.document["label_type"])

    @property
    def classes(self) -> list[str]:
        """The label's values as text, ascending."""
        return list(self.document["classes"])

    @property
    def structured(self) -> list[str]:
        """The structured columns that it needs, in order."""
        return list(self.row["structured"])

    @property
    def layers(self) -> dict[str, int]:
        """The layer columns that it needs, in order, and their lengths."""
        return dict(self.row["layers"])

    @property
    def fill(self) -> list[float] | None:
        """What stands for NULL in each column of `numbers`; None: such rows are not scored."""
        return self.row.get("fill")

    @property
    def levels(self) -> dict[str, list[str | None]]:
        """The levels of each text column: a feature each, None for NULL, then one of all others."""
        kept = self.row.get("levels", {})  # by name, as JSON has them: features are as columns are
        return {name: kept[name] for name in self.structured if name in kept}

    @property
    def numbers(self) -> list[str]:
        """The structured columns that are no text, in order."""
        return [name for name in self.structured if name not in self.levels]

    @property
    def transfer(self) -> dict[str, Any] | None:
        """The record of the TRANSFER that made all of its layers; None: there is none."""
        for transfer in self.document["provenance"].get("transfers", ()):
            if set(self.layers) <= set(transfer.get("columns", ())):
                return self._at_home(transfer)
        return None

    def _at_home(self, transfer: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record with the path of the version's own network, which may have moved."""
        arguments = dict(transfer["arguments"])
        for name in ("cnn", "weights"):
            if isinstance(arguments.get(name), str):
                arguments[name] = self.path_now(arguments[name])
        return {**transfer, "arguments": arguments}

    def path_now(self, recorded: str) -> str:
        """Return where a kept network of a record lies: the registry may have moved with it."""
        if recorded == OWN:
            return str(self.network)
        *_, name, version, file = ("", "", *Path(recorded).parts)
        here = self.folder.absolute().parent.parent / name / version / file
        if here != network_in(here.parent, name) or not here.is_file():
            return recorded
        return recorded if Path(recorded).is_file() else str(here)

    @property
    def network(self) -> Path:
        """Where the network lies that was tuned with the model, if one was."""
        return network_in(self.folder, self.name)

    @property
    def trainer(self) -> str:
        """The name of the trainer that fitted it."""
        return self.row["trainer"]

    @property
    def written_ns(self) -> int:
        """When the version was written, in nanoseconds since 1970."""
        return (self.folder / DOCUMENT).stat().st_mtime_ns

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return the model's arrays."""
        import numpy as np

        with np.load(self.folder / self.row["file"]) as file:
            return {name: file[name] for name in file.files}


def network_in(folder: Path, name: str) -> Path:
    """Return where a version's folder holds the network that was tuned."""
    return folder.absolute() / f"{name.lower()}.keras"


def network_of(home: str, reference: str) -> Path:
    """Return the file of the network that was tuned with a model.

    Args:
        home: the folder of the registry.
        reference: `healthy`, `healthy@3`; a part is not looked at.

    Raises:
        UnknownNameError: there is no such model or version; known ones are offered.
        ModelError: it has no network of its own.
    """
    whole = version_of(home, reference)
    folder = _root(home) / str(whole["name"]).lower() / str(whole["version"])
    path = network_in(folder, whole["name"])
    if not path.is_file():
        if "tuned" in whole["provenance"]:
            raise ModelError(f"the network of model {reference!r} is gone: there is no file {path}")
        raise ModelError(
            f"model {reference!r} has no network of its own, for VISTA_FINETUNE did not make it: "
            "cnn => 'model:NAME' takes one that it made"
        )
    return path


def reference_of(home: str, path: str) -> str | None:
    """Return `model:NAME@VERSION`, where a path is that of a network kept here; None: it is not."""
    file = Path(path)
    name, version = file.parent.parent.name, file.parent.name
    here = network_in(_root(home) / name / version, name)
    return f"{OWN}{name}@{version}" if name and file == here else None


def is_name(name: str) -> bool:
    """Return whether `name` can name a model: NAME_WORDS, neither '.' nor a space at its end."""
    return NAME.fullmatch(name) is not None and not name.endswith((".", " "))


def _root(home: str) -> Path:
    return Path(home) / "models"


def versions(home: str, name: str) -> list[int]:
    """Return the versions of a model, ascending."""
    folder = _root(home) / name.lower()
    if not is_name(name) or not folder.is_dir():
        return []
    return sorted(
        int(entry.name)
        for entry in folder.iterdir()
        if entry.name.isdigit() and (entry / DOCUMENT).is_file()
    )


def names(home: str) -> list[str]:
    """Return the names of the models that have a version, sorted."""
    root = _root(home)
    folders = (entry.name for entry in root.iterdir()) if root.is_dir() else ()
    return sorted(name for name in folders if versions(home, name))


def document(home: str, name: str, version: int) -> dict[str, Any]:
    """Return what model.json holds.

    Raises:
        ModelError: it was written by a later format, or is no JSON.
    """
    path = _root(home) / name.lower() / str(version) / DOCUMENT
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ModelError(f"model {name}@{version} is damaged ({path}): {error}") from error
    if whole.get("format") != FORMAT:
        raise ModelError(
            f"model {name}@{version} has format {whole.get('format')}; this version of vista_sql "
            f"reads {FORMAT}: train it again"
        )
    return dict(whole)


def entries(home: str) -> Iterator[Model]:
    """Yield every row of every version, by name, newest version first."""
    for name in names(home):
        for version in reversed(versions(home, name)):
            yield from _models(home, document(home, name, version))


def _models(home: str, whole: Mapping[str, Any]) -> list[Model]:
    """Return the models of a version, from what its model.json holds."""
    name, version = str(whole["name"]), int(whole["version"])
    folder = _root(home) / name.lower() / str(version)
    return [Model(folder, name, version, whole, row) for row in whole["rows"]]


def version_of(home: str, reference: str) -> dict[str, Any]:
    """Return what model.json of the version that `reference` names holds.

    Args:
        home: the folder of the registry.
        reference: `healthy`, `healthy@3`, `healthy/avg_pool@3` …; its part is not looked at.

    Raises:
        UnknownNameError: there is no such model or version; known ones are offered.
    """
    match = REFERENCE.fullmatch(reference.strip())
    name = match["name"] if match else reference
    numbers = versions(home, name)
    if match is None or not numbers:
        raise UnknownNameError("model", reference, names(home))
    version = int(match["version"]) if match["version"] else numbers[-1]
    if version not in numbers:
        raise UnknownNameError("model", reference, [f"{name}@{v}" for v in reversed(numbers)])
    return document(home, name, version)


def find(home: str, reference: str) -> Model:
    """Return the model that a reference names.

    Raises:
        UnknownNameError: there is no such model, version or part; known ones are offered.
        ModelError: the reference fits several rows and none is the best.
    """
    match = REFERENCE.fullmatch(reference.strip())
    of_version = models = _models(home, version_of(home, reference))
    if match is not None and match["part"] is not None:
        part = match["part"].lower()
        models = [model for model in of_version if part in _names(model.row)]
    if not models:
        raise UnknownNameError("model", reference, [model.reference for model in of_version])
    best = max(models, key=lambda model: rank(model.row))
    if len(models) > 1 and not is_tested(best.row):
        raise ModelError(
            f"model {reference!r} has {len(models)} rows and no test rows to choose by; name one: "
            + ", ".join(model.reference for model in models[:10])
        )
    return best


def _names(row: ModelRow) -> tuple[str, ...]:
    """Return what a reference may call a row: its part, its feature set, its layer."""
    selected = "" if row.get("fraction") is None else SELECTED
    return (
        row["part"].lower(), row["feature_set"].lower(), (row["layer"] or "").lower(), selected
    )  # fmt: skip


def rank(row: ModelRow) -> tuple[float, float, int]:
    """Return a key that is largest for the best row.

    It goes by f1_score, then log_loss, then fewer dims; of numbers by r2, then rmse.
    """
    score = row["f1_score"] if row["f1_score"] is not None else row.get("r2")
    loss = row["log_loss"] if row["log_loss"] is not None else row.get("rmse")
    lowest = float("-inf")
    return (lowest if score is None else score, lowest if loss is None else -loss, -row["dims"])


def is_tested(row: ModelRow) -> bool:
    """Return whether a row has the figures that it is ranked by."""
    return row["f1_score"] is not None or row.get("r2") is not None or row.get("rmse") is not None


def drop(home: str, reference: str) -> list[str]:
    """Remove a version, `healthy@3`, or all versions of a model, `healthy`; return which.

    Raises:
        UnknownNameError: there is no such model or version; known ones are offered.
        ModelError: it names a part of a version, or the folder cannot be removed.
    """
    newest = version_of(home, reference)
    match = REFERENCE.fullmatch(reference.strip())
    name, number = newest["name"], match["version"] if match else None
    if match is not None and match["part"] is not None:
        raise ModelError(
            f"{reference!r} is part of a version, and versions are dropped as a whole: {name}@"
            f"{newest['version']}, or {name} with all its versions"
        )
    gone = [int(number)] if number else versions(home, name)
    for version in gone:
        folder = _root(home) / name.lower() / str(version)
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise ModelError(f"{folder} cannot be removed: {error.strerror or error}") from error
    return [f"{name}@{version}" for version in gone]


def with_fingerprint(home: str, name: str, fingerprint: str) -> int | None:
    """Return the newest version whose document has this `fingerprint`, None where none has."""
    for version in reversed(versions(home, name)):
        if document(home, name, version).get("fingerprint") == fingerprint:
            return version
    return None


def publish(
    home: str,
    name: str,
    facts: Mapping[str, Any],
    arrays: Sequence[Mapping[str, npt.NDArray[Any]]],
    network: Path | None = None,
    replaced: int | None = None,
) -> int:
    """Keep a new version and return its number.

    Safe beside other processes that publish the same name.

    Args:
        home: the folder of the registry.
        name: of the model.
        facts: what model.json holds, `rows` among it; `name`, `version`, `format` and each row's
            `file` are added here.
        arrays: of each row.
        network: the file of the network that was tuned; it is moved.
        replaced: a version of the same training, in whose place the new one stands.

    Raises:
        ModelError: the folder cannot be written, or is full.
    """
    folder = _root(home) / name.lower()
    try:
        return _published(folder, home, name, facts, arrays, network, replaced)
    except OSError as error:
        raise ModelError(
            f"model {name!r} cannot be kept in {folder}: {error.strerror or error}; make room "
            "there, or name another folder by SET VARIABLE vista_home"
        ) from error


def _published(
    folder: Path,
    home: str,
    name: str,
    facts: Mapping[str, Any],
    arrays: Sequence[Mapping[str, npt.NDArray[Any]]],
    network: Path | None,
    replaced: int | None,
) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder))
    draft.chmod(0o755)  # mkdtemp makes it private; the registry is shared
    try:
        rows = []
        for index, (row, values) in enumerate(zip(facts["rows"], arrays, strict=True)):
            file = f"{index:03d}.npz"
            _save(draft / file, values)
            rows.append({**row, "file": file})
        if network is not None:
            shutil.move(network, network_in(draft, name))
        version = replaced or max(versions(home, name), default=0) + 1
        while True:
            whole = {**facts, "rows": rows, "name": name, "version": version, "format": FORMAT}
            with (draft / DOCUMENT).open("w", encoding="utf-8") as file_:
                json.dump(whole, file_, sort_keys=True, indent=1)
                file_.flush()
                os.fsync(file_.fileno())
            if replaced is not None:
                shutil.rmtree(folder / str(version), ignore_errors=True)
            try:
                draft.rename(folder / str(version))
            except OSError:
                if not (folder / str(version)).exists():
                    raise
                version += 1  # another process was faster
            else:
                return version
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _save(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    import numpy as np

    save: Callable[..., None] = np.savez  # its stubs take keywords for allow_pickle
    save(path, **arrays)
