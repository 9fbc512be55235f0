"""The registry of trained models: a folder that several processes and hosts share.

    <home>/models/<name>/<version>/model.json    what was trained, on what, how well: a row a model
                                  /<row>.npz     the row's arrays

A version is written beside its place and renamed into it, so that readers see all of it or nothing.
References: `healthy` (newest version, best row by f1_score), `healthy/avg_pool`, `healthy@3`,
`healthy/avg_pool@3`, and `healthy/avg_pool:0.1@3` where several `reg` were trained; any case.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vista_sql.errors import ModelError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}")
REFERENCE = re.compile(r"(?P<name>[^/@]+)(?:/(?P<part>.*?))?(?:@(?P<version>\d+))?")
DOCUMENT = "model.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Model:
    """One row of one version: a model that can score."""

    folder: Path
    name: str
    version: int
    document: Mapping[str, Any]
    row: Mapping[str, Any]

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
        return {name: int(size) for name, size in self.row["layers"]}

    @property
    def trainer(self) -> str:
        """What fitted it."""
        return str(self.row["trainer"])

    @property
    def written_ns(self) -> int:
        """When the version was written, in nanoseconds since 1970."""
        return (self.folder / DOCUMENT).stat().st_mtime_ns

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return the model's arrays."""
        import numpy as np

        with np.load(self.folder / self.row["file"]) as kept:
            return {name: kept[name] for name in kept.files}


def is_name(name: str) -> bool:
    """Return whether a model can be called so: letters, digits, `_`, `-`, `.`, space."""
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
    found = (entry.name for entry in root.iterdir()) if root.is_dir() else ()
    return sorted(name for name in found if versions(home, name))


def document(home: str, name: str, version: int) -> dict[str, Any]:
    """Return what model.json holds.

    Raises:
        ModelError: it was written by a later format, or is no JSON.
    """
    path = _root(home) / name.lower() / str(version) / DOCUMENT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ModelError(f"model {name}@{version} is damaged ({path}): {error}") from error
    if found.get("format") != FORMAT:
        raise ModelError(
            f"model {name}@{version} has format {found.get('format')}; this version of vista_sql "
            f"reads {FORMAT}: train it again"
        )
    return dict(found)


def entries(home: str) -> Iterator[Model]:
    """Yield every row of every version, by name, newest version first."""
    for name in names(home):
        for version in reversed(versions(home, name)):
            known = document(home, name, version)
            folder = _root(home) / name / str(version)
            for row in known["rows"]:
                yield Model(folder, known["name"], version, known, row)


def version_of(home: str, reference: str) -> dict[str, Any]:
    """Return what the version holds that a reference names, whichever row of it is meant.

    Raises:
        UnknownNameError: there is no such model or version; known ones are offered.
    """
    match = REFERENCE.fullmatch(reference.strip())
    name = match["name"] if match else reference
    found = versions(home, name)
    if match is None or not found:
        raise UnknownNameError("model", reference, names(home))
    version = int(match["version"]) if match["version"] else found[-1]
    if version not in found:
        raise UnknownNameError("model", reference, [f"{name}@{v}" for v in reversed(found)])
    return document(home, name, version)


def find(home: str, reference: str) -> Model:
    """Return the model that a reference names.

    Raises:
        UnknownNameError: there is no such model, version or part; known ones are offered.
        ModelError: the reference fits several rows and none is the best.
    """
    known = version_of(home, reference)
    match, version = REFERENCE.fullmatch(reference.strip()), int(known["version"])
    folder = _root(home) / str(known["name"]).lower() / str(version)
    models = [Model(folder, known["name"], version, known, row) for row in known["rows"]]
    if match is not None and match["part"] is not None:
        part = match["part"].lower()
        models = [
            model
            for model in models
            if part
            in (
                str(model.row["part"]).lower(),
                str(model.row["feature_set"]).lower(),
                str(model.row["layer"] or "").lower(),
            )
        ]
    if not models:
        known_parts = [f"{known['name']}/{row['part']}@{version}" for row in known["rows"]]
        raise UnknownNameError("model", reference, known_parts)
    best = max(models, key=lambda model: rank(model.row))
    if len(models) > 1 and best.row["f1_score"] is None:
        raise ModelError(
            f"model {reference!r} has {len(models)} rows and no test rows to choose by; name one: "
            + ", ".join(model.reference for model in models[:10])
        )
    return best


def rank(row: Mapping[str, Any]) -> tuple[float, float, int]:
    """Return a key that is largest for the best row: f1_score, then log_loss, then fewer dims."""
    f1, loss = row["f1_score"], row["log_loss"]
    return (
        -1.0 if f1 is None else float(f1),
        float("-inf") if loss is None else -float(loss),
        -int(row["dims"]),
    )


def with_fingerprint(home: str, name: str, fingerprint: str) -> int | None:
    """Return the newest version of a model that was trained from just that, if there is one."""
    for version in reversed(versions(home, name)):
        if document(home, name, version).get("fingerprint") == fingerprint:
            return version
    return None


def publish(
    home: str,
    name: str,
    facts: Mapping[str, Any],
    arrays: Sequence[Mapping[str, npt.NDArray[Any]]],
) -> int:
    """Keep a new version and return its number.

    `facts` holds `rows`, one per element of `arrays`; `name`, `version`, `format` and each row's
    `file` are added here. Safe beside other processes that publish the same name.

    Raises:
        ModelError: the folder cannot be written, or is full.
    """
    folder = _root(home) / name.lower()
    try:
        return _published(folder, home, name, facts, arrays)
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
        version = max(versions(home, name), default=0) + 1
        while True:
            whole = {**facts, "rows": rows, "name": name, "version": version, "format": FORMAT}
            with (draft / DOCUMENT).open("w", encoding="utf-8") as file_:
                json.dump(whole, file_, sort_keys=True, indent=1)
                file_.flush()
                os.fsync(file_.fileno())
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
