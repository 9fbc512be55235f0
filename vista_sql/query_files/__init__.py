"""dbt-style query files: one SELECT a file, in Jinja, and what each needs of the others.

A file's name without `.sql` is its own, and that of the table or view that it becomes. `read`
finds the files, `Project.ordered` says in which order they run, `Project.render` gives the SQL of
one. dbt runs the same files: `ref`, `source`, `var`, `env_var`, `config`, `this` and
`is_incremental()` mean the same there. Nothing here runs SQL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from vista_sql.errors import Place, QueryError, UnknownNameError, VistaError
from vista_sql.sql import parse
from vista_sql.sql.quoting import identifier

PROJECT_FILE = "dbt_project.yml"
MATERIALIZED = ("table", "view", "incremental", "ephemeral")
STRATEGIES = ("append", "delete+insert")
NO_QUERIES = {"analyses", "dbt_packages", "logs", "macros", "seeds", "snapshots", "target", "tests"}
"""Folders of a dbt project whose `.sql` files are no models."""

_KNOWN = ("alias", "enabled", "incremental_strategy", "materialized", "unique_key")
_WITHOUT_EFFECT = ("access", "contract", "description", "docs", "group", "meta", "tags")
_CTE = "__dbt__cte__"
_NAMES = "ref, source, var, env_var, config, this, is_incremental, execute and target"


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view by its names; printed as SQL has it."""

    identifier: str
    schema: str | None = None

    @property
    def name(self) -> str:
        """The name, as dbt calls it too."""
        return self.identifier

    def __str__(self) -> str:
        names = (self.schema, self.identifier)
        return ".".join(identifier(name) for name in names if name is not None)


@dataclass(frozen=True, slots=True)
class QueryFile:
    """One file, as its `config` and its references have it."""

    name: str
    path: Path
    text: str
    materialized: str
    relation: Relation
    unique_key: tuple[str, ...]
    needs: tuple[str, ...]  # query files that it refers to, in the order of the text
    sources: tuple[Relation, ...]
    enabled: bool


@dataclass(slots=True)
class _Said:
    """What a file says of itself while it is rendered."""

    config: dict[str, Any] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    sources: list[Relation] = field(default_factory=list)


class Project:
    """The query files that can refer to each other; a file is read when it is first needed."""

    def __init__(self, paths: Mapping[str, Path], variables: Mapping[str, Any]) -> None:
        """Take the files by name, and the values of `var`."""
        self._paths, self._variables = dict(paths), dict(variables)
        self._files: dict[str, QueryFile] = {}
        self.names = tuple(sorted(self._paths))

    def file(self, name: str) -> QueryFile:
        """Return a file by its name.

        Raises:
            QueryError: it is no Jinja, or refers to what is not there.
            OSError: it cannot be read.
        """
        if name not in self._files:
            self._files[name] = self._read(name)
        return self._files[name]

    def ordered(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the names so that each comes after what it needs; without files not enabled.

        Raises:
            QueryError: files need each other in a circle.
        """
        graph = {name: sorted(self.file(name).needs) for name in sorted(self._upstream(names))}
        try:
            order = tuple(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = " → ".join(reversed(error.args[1]))
            raise QueryError(f"query files need each other in a circle: {circle}") from None
        return tuple(name for name in order if name in set(names) and self.file(name).enabled)

    def select(self, wanted: Sequence[str], among: Sequence[str]) -> tuple[str, ...]:
        """Return the names that `--select` means: NAME, +NAME (and what it needs), NAME+ (and …).

        Raises:
            UnknownNameError: there is no such file.
        """
        found: set[str] = set()
        for one in wanted:
            name = one.strip("+")
            if name not in self._paths:
                raise UnknownNameError("query file", name, self.names)
            found.add(name)
            if one.startswith("+"):
                found |= self._upstream([name])
            if one.endswith("+"):
                found |= {other for other in among if name in self._upstream([other])}
        return tuple(sorted(found))

    def needed_by(self, name: str) -> set[str]:
        """Return what a file needs, directly or through others."""
        return self._upstream([name]) - {name}

    def render(self, name: str, *, incremental: bool = False) -> str:
        """Return the SQL of a file: one SELECT, ephemeral files in front as CTEs.

        Args:
            name: the file's.
            incremental: what `is_incremental()` says.

        Raises:
            QueryError: the file does not hold one SELECT.
        """
        file = self.file(name)
        sql = _one_select(self._rendered(file.path, file.text, _Said(), incremental), file.path)
        upstream = (*self.ordered(tuple(self._inlined(name))),)
        ctes = [
            f"{identifier(_CTE + one)} AS (\n"
            f"{_one_select(self._rendered(self.file(one).path, self.file(one).text), one)}\n)"
            for one in upstream
        ]
        return _with(ctes, sql)

    def _inlined(self, name: str) -> Iterator[str]:
        for one in self.file(name).needs:
            if self.file(one).materialized == "ephemeral":
                yield one
                yield from self._inlined(one)

    def _upstream(self, names: Sequence[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(self.file(name).needs)
        return found

    def _read(self, name: str) -> QueryFile:
        path = self._paths[name]
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise QueryError(f"{path}: this is not UTF-8 text") from None
        said = _Said()
        for incremental in (True, False):  # what either way says is needed
            said.config.clear()
            self._rendered(path, text, said, incremental, parsing=True)
        config = _checked(said.config, path)
        key = config.get("unique_key") or ()
        return QueryFile(
            name=name,
            path=path,
            text=text,
            materialized=config.get("materialized", "view"),
            relation=Relation(config.get("alias", name)),
            unique_key=(key,) if isinstance(key, str) else tuple(key),
            needs=tuple(dict.fromkeys(said.needs)),
            sources=tuple(dict.fromkeys(said.sources)),
            enabled=bool(config.get("enabled", True)),
        )

    def _rendered(
        self,
        path: Path,
        text: str,
        said: _Said | None = None,
        incremental: bool = False,
        *,
        parsing: bool = False,
    ) -> str:
        """Return a file's text with its Jinja carried out."""
        import jinja2
        from jinja2.sandbox import SandboxedEnvironment

        said = said or _Said()

        def ref(*names: str, **_: Any) -> Relation:
            name = names[-1]  # the first of two is the package
            if name not in self._paths:
                place = _place(text, rf"\bref\s*\([^)]*['\"]({re.escape(name)})['\"]")
                raise UnknownNameError("query file", name, self.names, place)
            said.needs.append(name)
            if parsing:  # what it refers to may refer to this file
                return Relation(name)
            other = self.file(name)
            if not other.enabled:
                raise QueryError(f"{path}: it needs {name}, which config(enabled=…) turns off")
            ephemeral = other.materialized == "ephemeral"
            return Relation(_CTE + name) if ephemeral else other.relation

        def source(schema: str, table: str) -> Relation:
            said.sources.append(Relation(table, schema))
            return said.sources[-1]

        def var(name: str, *default: Any) -> Any:
            if name in self._variables or default:
                return self._variables.get(name, *default)
            place = _place(text, rf"\bvar\s*\(\s*['\"]({re.escape(name)})['\"]")
            raise QueryError(f"{path}: var {name!r} has no value: give --var {name}=VALUE", place)

        def env_var(name: str, default: str | None = None) -> str:
            value = os.environ.get(name, default)
            if value is None:
                place = _place(text, rf"\benv_var\s*\(\s*['\"]({re.escape(name)})['\"]")
                raise QueryError(f"{path}: the environment has no {name}", place)
            return value

        def config(**values: Any) -> str:
            said.config.update(values)
            return ""

        known: dict[str, Any] = {
            **{one.__name__: one for one in (ref, source, var, env_var, config)},
            "this": Relation(self._alias(path, said)),
            "is_incremental": lambda: incremental,
            "execute": not parsing,
            "target": {"name": "vista", "type": "duckdb", "schema": "main"},
        }
        environment = SandboxedEnvironment(
            undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"]
        )
        try:
            return environment.from_string(text).render(known)
        except jinja2.TemplateSyntaxError as error:
            raise QueryError(f"{path}: {error.message}", _line(text, error.lineno)) from None
        except jinja2.UndefinedError as error:
            told = str(error.message)
            name = re.match(r"'(\w+)' is undefined", told)
            place = _place(text, rf"\b({name[1]})\b") if name else None
            raise QueryError(
                f"{path}: {told}; there is {_NAMES}, but none of dbt's macros and packages", place
            ) from None
        except (TypeError, jinja2.TemplateError) as error:
            raise QueryError(f"{path}: {error}") from None

    def _alias(self, path: Path, said: _Said) -> str:
        """Return the name of the table that a file becomes, as far as it said so."""
        known = self._files.get(path.stem)
        return said.config.get("alias", path.stem) if known is None else known.relation.identifier


def read(paths: Sequence[Path], variables: Mapping[str, Any]) -> tuple[Project, tuple[str, ...]]:
    """Return the project that holds files or folders, and the names of the files that they mean.

    A project is the folder with `dbt_project.yml` above a path; without one, the folder itself, or
    that of the file.

    Raises:
        VistaError: there is nothing there, or two files have one name.
    """
    files: dict[str, Path] = {}
    chosen: list[str] = []
    for path in paths:
        if not path.exists():
            raise VistaError(f"there is no file or folder {path}")
        start = path.absolute() if path.is_dir() else path.absolute().parent
        root = next((p for p in (start, *start.parents) if (p / PROJECT_FILE).is_file()), None)
        inside = sorted(_queries(root or start, deep=root is not None or path.is_dir()))
        meant = [one for one in inside if one.is_relative_to(path.absolute())]
        if path.is_file() and not meant:
            inside, meant = [*inside, path.absolute()], [path.absolute()]
        if not meant:
            raise VistaError(f"there is no query file (*.sql) in {path}")
        for one in inside:
            other = files.setdefault(one.stem, one)
            if other != one:
                raise VistaError(
                    f"two query files are called {one.stem!r}, {_shown(other)} and {_shown(one)}: "
                    "a file's name is its table's; rename one"
                )
        chosen.extend(one.stem for one in meant)
    return Project({n: _shown(p) for n, p in files.items()}, variables), tuple(
        dict.fromkeys(chosen)
    )


def _queries(root: Path, *, deep: bool) -> Iterator[Path]:
    """Yield the query files of a folder."""
    left_out = NO_QUERIES if (root / PROJECT_FILE).is_file() else set()
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if deep and f not in left_out and f[0] not in "._"]
        for name in names:
            if name.lower().endswith(".sql") and not name.startswith("."):
                yield Path(folder, name)


def _shown(path: Path) -> Path:
    """Return a path as people here call it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _checked(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a file's `config`; raise QueryError where it asks for what is not there."""
    for name in config:
        if name not in (*_KNOWN, *_WITHOUT_EFFECT):
            raise UnknownNameError("config", name, _KNOWN, None, str(path))
    materialized = config.get("materialized", "view")
    if materialized not in MATERIALIZED:
        raise UnknownNameError("materialization", materialized, MATERIALIZED, None, str(path))
    strategy = config.get("incremental_strategy")
    if strategy is not None and strategy not in STRATEGIES:
        raise UnknownNameError("incremental strategy", strategy, STRATEGIES, None, str(path))
    if strategy == "delete+insert" and not config.get("unique_key"):
        raise QueryError(f"{path}: incremental_strategy='delete+insert' needs a unique_key")
    return {**config, **({"unique_key": None} if strategy == "append" else {})}


def _one_select(sql: str, where: object) -> str:
    """Return a rendered text without its last `;`, if it is one SELECT."""
    statements = parse.parse(sql)
    if len(statements) != 1 or statements[0].kind != "select":
        found = "nothing" if not statements else f"{len(statements)} statements"
        if len(statements) == 1:
            found = statements[0].text.split()[0].upper()
        raise QueryError(f"{where}: a query file holds one SELECT, this one {found}")
    end = sql.rindex(statements[0].text) + len(statements[0].text)
    return sql[:end]


def _with(ctes: Sequence[str], sql: str) -> str:
    """Return a SELECT with common table expressions before its own."""
    if not ctes:
        return sql
    tokens = parse.tokenize(sql)
    if tokens[0].text.upper() != "WITH":
        start = tokens[0].start
        return f"{sql[:start]}WITH {', '.join(ctes)}\n{sql[start:]}"
    last = 1 if tokens[1].text.upper() == "RECURSIVE" else 0
    end = tokens[last].end + 1
    return f"{sql[:end]} {', '.join(ctes)},{sql[end:]}"


def _place(text: str, pattern: str) -> Place | None:
    found = re.search(pattern, text)
    return Place(text, found.start(1), found.end(1)) if found else None


def _line(text: str, number: int) -> Place:
    lines = text.splitlines() or [""]
    start = sum(len(line) + 1 for line in lines[: number - 1])
    return Place(text, start, start + max(1, len(lines[min(number, len(lines)) - 1])))
