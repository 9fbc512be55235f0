"""dbt's YAML → what it says of each file: `dbt_project.yml` by folder, properties by name.

What stands nearer to a file wins, as in dbt: its own `config(…)` over the properties of its name,
those over the project's, where a folder further in wins. Values may hold Jinja.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from vista_sql.errors import QueryError
from vista_sql.query_files import jinja
from vista_sql.query_files.file import Config, TableName, merged, said_by
from vista_sql.sql.quoting import text_literal

PROJECT_FILE = "dbt_project.yml"
_PROPERTIES = re.compile(r"^(models|seeds|snapshots|sources):", re.MULTILINE)
_SNAPSHOT = re.compile(r"\{%-?\s*snapshot\s+(\w+)")


_KINDS = {"model-paths": "models", "seed-paths": "seeds", "snapshot-paths": "snapshots"}
"""Where a project's files are, unless it says otherwise."""


class Folders(Struct):
    """The files of a project, or of a plain folder, and what its YAML says."""

    root: Path
    variables: dict[str, Any]
    project: Mapping[str, Any] = field(default_factory=dict)
    queries: list[Path] = field(default_factory=list)
    seeds: list[Path] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    """What else can be referred to by name, as dbt calls it."""
    sources: dict[tuple[str, str], TableName | str] = field(default_factory=dict)
    """The table of each source; a text: why there is none."""
    bases: dict[Path, Path] = field(default_factory=dict)
    """The folder of its kind in which a file is."""
    properties: dict[tuple[str, str], Config] = field(default_factory=dict)
    """By kind and name."""

    def config(self, path: Path) -> Config:
        """Return what the YAML says of a query file or seed."""
        kind = "seeds" if path in self.seeds else "models"
        level, where = _mapping(self.project.get(kind)), shown(self.root / PROJECT_FILE)
        config = self._own(level, where)
        for name in self._way(path):
            level = _mapping(level.get(name))
            config = merged(config, self._own(level, where))
        return merged(config, self.properties.get((kind, path.stem), {}))

    def unused(self) -> Iterator[str]:
        """Yield the folders and files that the project configures, and of which there are none."""
        for kind, files in (("models", self.queries), ("seeds", self.seeds)):
            ways = [self._way(path) for path in files]
            waiting: list[tuple[tuple[str, ...], Mapping[str, Any]]] = []
            waiting.append(((), _mapping(self.project.get(kind))))
            while waiting:
                way, level = waiting.pop()
                if way and not any(other[: len(way)] == way for other in ways):
                    yield ".".join((kind, *way))
                    continue
                for name, value in level.items():
                    if isinstance(value, dict) and not str(name).startswith("+"):
                        waiting.append(((*way, str(name)), value))

    def _way(self, path: Path) -> tuple[str, ...]:
        """Return the names under which a file's configs stand, from the project's on inwards."""
        inside = path.relative_to(self.bases[path]) if path in self.bases else Path(path.name)
        return (str(self.project.get("name")), *inside.parent.parts, path.stem)

    def take_properties(self, path: Path) -> None:
        """Take what a file of properties says."""
        if not _PROPERTIES.search(path.read_text(encoding="utf-8-sig", errors="replace")):
            return  # somebody else's
        document, path = _document(path), shown(path)
        for kind in ("models", "seeds"):
            for entry in _entries(document.get(kind)):
                name = str(entry["name"])
                if (kind, name) in self.properties:
                    raise QueryError(f"{path}: the properties of {name} stand in two places")
                if entry.get("versions"):
                    self.others[name] = "model of several versions"
                self.properties[kind, name] = self._own(_mapping(entry.get("config")), path)
        for entry in _entries(document.get("snapshots")):
            self.others[str(entry["name"])] = "snapshot"
        for source in _entries(document.get("sources")):
            for table in _entries(source.get("tables")):
                names = (str(source["name"]), str(table["name"]))
                self.sources[names] = self._source(source, table, path)

    def _source(
        self, source: Mapping[str, Any], table: Mapping[str, Any], path: Path
    ) -> TableName | str:
        """Return the table that a source means, or why it cannot be had."""
        for said in (source, table):
            for of in (said, _mapping(said.get("config"))):
                if "external_location" in {**_mapping(of.get("meta")), **of}:
                    return (
                        f"{path}: its external_location is dbt's alone: read the file by its name"
                    )
        if source.get("database"):
            return f"{path}: a source of another database is dbt's alone: ATTACH it, and name it"
        schema = self._value(source.get("schema", source["name"]), path)
        return TableName(
            str(self._value(table.get("identifier", table["name"]), path)), str(schema)
        )

    def _own(self, level: Mapping[str, Any], where: Path) -> Config:
        """Return the configs of one level of YAML; without a plus, what has parts is a folder."""
        said = {
            str(key).removeprefix("+").replace("-", "_"): value
            for key, value in level.items()
            if str(key).startswith("+") or not isinstance(value, dict) or where.name != PROJECT_FILE
        }
        return {key: said_by(where, key, self._value(value, where)) for key, value in said.items()}

    def _value(self, value: Any, where: Path) -> Any:
        """Return a value of YAML with its Jinja carried out."""
        import yaml

        if isinstance(value, list):
            return [self._value(one, where) for one in value]
        if isinstance(value, str) and "{{" in value:
            names = jinja.known(where, value, self.variables)
            return yaml.safe_load(jinja.rendered(where, value, names))
        return value


def read(root: Path, variables: Mapping[str, Any], *, deep: bool = True) -> Folders:
    """Return the files of a folder with what its YAML says of them.

    Args:
        root: the folder; with `dbt_project.yml`, a project.
        variables: the values of `var` that win over the project's.
        deep: whether a folder without `dbt_project.yml` is looked through.

    Raises:
        QueryError: a file of YAML is none, or two say what one file is.
        OSError: a file cannot be read.
    """
    if not (root / PROJECT_FILE).is_file():
        folders = Folders(root, variables=dict(variables))
        found = [("model-paths", root, path) for path in _files(root, deep=deep)]
    else:
        project = _document(root / PROJECT_FILE)
        shared = _mapping(project.get("vars"))
        own = _mapping(shared.get(str(project.get("name"))))
        folders = Folders(root, variables={**shared, **own, **variables}, project=project)
        found = [
            (kind, root / folder, path)
            for kind, default in _KINDS.items()
            for folder in _paths(project, kind) or [default]
            for path in _files(root / folder, hidden=".")
        ]
    for kind, folder, path in found:
        match kind, path.suffix.lower():
            case "model-paths", ".sql":
                folders.queries.append(path)
            case "seed-paths", ".csv":
                folders.seeds.append(path)
            case "model-paths", ".py":
                folders.others[path.stem] = "Python model"
            case "snapshot-paths", ".sql":
                text = path.read_text(encoding="utf-8-sig", errors="replace")
                folders.others |= dict.fromkeys(_SNAPSHOT.findall(text), "snapshot")
            case _, ".yml" | ".yaml":
                folders.take_properties(path)
        folders.bases[path] = folder
    return folders


def seed_select(path: Path, config: Config) -> str:
    """Return the SELECT that reads a seed, with the types that dbt gives its columns.

    Args:
        path: the CSV file.
        config: what YAML says of it; types of columns that it has not count for others.

    Raises:
        OSError: it cannot be read.
    """
    types = (config["column_types"].value if "column_types" in config else None) or {}
    delimiter = (config["delimiter"].value if "delimiter" in config else None) or ","
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file, delimiter=delimiter), [])
    given = ", ".join(
        f"{text_literal(column)}: {text_literal(types[column])}"
        for column in header
        if column in types
    )
    return (
        f"SELECT * FROM read_csv({text_literal(str(path))}, header = true, "
        f"delim = {text_literal(delimiter)}, sample_size = -1,\n"
        f"    {f'types = {{{given}}}, ' if given else ''}auto_type_candidates = ['BOOLEAN', "
        "'INTEGER', 'BIGINT', 'DOUBLE', 'DATE', 'TIMESTAMP', 'VARCHAR'])"
    )


def shown(path: Path) -> Path:
    """Return a path as people here call it."""
    folder = Path.cwd()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _files(root: Path, *, deep: bool = True, hidden: str = "._") -> Iterator[Path]:
    """Yield the files of a folder that are not hidden, in the order of their names."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if deep and f[0] not in hidden)
        yield from (Path(folder, name) for name in sorted(names) if name[0] != ".")


def _document(path: Path) -> Mapping[str, Any]:
    """Return what a file of YAML holds."""
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise QueryError(f"{path}: this is no YAML that can be read: {reason}") from None
    return _mapping(document)


def _paths(project: Mapping[str, Any], kind: str) -> Sequence[str]:
    """Return the folders that a project names for a kind of files.

    Raises:
        QueryError: they are no list of texts.
    """
    paths = project.get(kind)
    if paths is not None and not (
        isinstance(paths, list) and all(isinstance(p, str) for p in paths)
    ):
        raise QueryError(f"{PROJECT_FILE}: {kind} must be a list of folders, not {paths!r}")
    return paths or ()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _entries(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of a list that have a name."""
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, dict) and "name" in entry:
            yield entry
