"""dbt-style query files, one SELECT in Jinja each → their order, and the SQL of each.

A file's name without `.sql` is that of the table or view that it becomes. `read` finds the files,
`Project.ordered` says in which order they run, `Project.render` gives the SQL of one,
`materializations` what stores its rows. dbt runs the same files: `ref`, `source`, `var`, `env_var`,
`config`, `this` and `is_incremental()` mean the same there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal, get_args

from vista_sql.errors import Place, QueryError, UnknownNameError, VistaError
from vista_sql.sql import parse, reading
from vista_sql.sql.quoting import identifier

PROJECT_FILE = "dbt_project.yml"
Materialized = Literal["table", "view", "incremental", "ephemeral"]
MATERIALIZED: tuple[Materialized, ...] = get_args(Materialized)
STRATEGIES = ("append", "delete+insert")
NO_QUERIES = {"analyses", "dbt_packages", "logs", "macros", "seeds", "snapshots", "target", "tests"}
"""Folders of a dbt project whose `.sql` files are no models."""

_KNOWN = ("alias", "enabled", "incremental_strategy", "materialized", "unique_key")
_WITHOUT_EFFECT = ("access", "contract", "description", "docs", "group", "meta", "tags")
_CTE = "__dbt__cte__"
_NAMES = "ref, source, var, env_var, config, this, is_incremental, execute and target"


@dataclass(frozen=True, slots=True)
class TableName:
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
    materialized: Materialized
    relation: TableName
    unique_key: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # query files that it refers to, in the order of the text
    sources: tuple[TableName, ...] = ()
    enabled: bool = True


@dataclass(slots=True)
class _Declared:
    """What a file declares by the functions that it calls while it is rendered."""

    config: dict[str, Any] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    sources: list[TableName] = field(default_factory=list)


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
        selected: set[str] = set()
        for selector in wanted:
            name = selector.strip("+")
            if name not in self._paths:
                raise UnknownNameError("query file", name, self.names)
            selected.add(name)
            if selector.startswith("+"):
                selected |= self._upstream([name])
            if selector.endswith("+"):
                selected |= {other for other in among if name in self._upstream([other])}
        return tuple(sorted(selected))

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
        sql = _one_select(self._rendered(file.path, file.text, _Declared(), incremental), file.path)
        ephemeral = map(self.file, self.ordered(tuple(self._inlined(name))))
        ctes = [
            f"{identifier(_CTE + other.name)} AS (\n"
            f"{_one_select(self._rendered(other.path, other.text), other.name)}\n)"
            for other in ephemeral
        ]
        return _with(ctes, sql)

    def _inlined(self, name: str) -> Iterator[str]:
        """Yield the ephemeral files that a file needs, directly or through ephemeral ones."""
        for other in self.file(name).needs:
            if self.file(other).materialized == "ephemeral":
                yield other
                yield from self._inlined(other)

    def _upstream(self, names: Sequence[str]) -> set[str]:
        """Return files and all that they need."""
        reached: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting.extend(self.file(name).needs)
        return reached

    def _read(self, name: str) -> QueryFile:
        path = self._paths[name]
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise QueryError(f"{path}: the file is not UTF-8 text") from None
        declared = _Declared()
        for incremental in (True, False):  # files that are needed either way count
            declared.config.clear()
            self._rendered(path, text, declared, incremental, parsing=True)
        return QueryFile(
            name=name,
            path=path,
            text=text,
            materialized=_materialized(declared.config, path),
            relation=TableName(declared.config.get("alias", name)),
            unique_key=_unique_key(declared.config, path),
            needs=tuple(dict.fromkeys(declared.needs)),
            sources=tuple(dict.fromkeys(declared.sources)),
            enabled=bool(declared.config.get("enabled", True)),
        )

    def _rendered(
        self,
        path: Path,
        text: str,
        declared: _Declared | None = None,
        incremental: bool = False,
        *,
        parsing: bool = False,
    ) -> str:
        """Return a file's text with its Jinja carried out."""
        import jinja2
        from jinja2.sandbox import SandboxedEnvironment

        declared = declared or _Declared()

        def ref(*names: str, **_: Any) -> TableName:
            name = names[-1]  # the first of two is the package
            if name not in self._paths:
                place = _place(text, rf"\bref\s*\([^)]*['\"]({re.escape(name)})['\"]")
                raise UnknownNameError("query file", name, self.names, place)
            declared.needs.append(name)
            if parsing:  # what it refers to may refer to this file
                return TableName(name)
            other = self.file(name)
            if not other.enabled:
                raise QueryError(f"{path}: it needs {name}, which config(enabled=…) turns off")
            ephemeral = other.materialized == "ephemeral"
            return TableName(_CTE + name) if ephemeral else other.relation

        def source(schema: str, table: str) -> TableName:
            declared.sources.append(TableName(table, schema))
            return declared.sources[-1]

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
            declared.config.update(values)
            return ""

        context: dict[str, Any] = {
            **{function.__name__: function for function in (ref, source, var, env_var, config)},
            "this": TableName(self._alias(path, declared)),
            "is_incremental": lambda: incremental,
            "execute": not parsing,
            "target": {"name": "vista", "type": "duckdb", "schema": "main"},
        }
        environment = SandboxedEnvironment(
            undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"]
        )
        try:
            return environment.from_string(text).render(context)
        except jinja2.TemplateSyntaxError as error:
            raise QueryError(f"{path}: {error.message}", _line(text, error.lineno)) from None
        except jinja2.UndefinedError as error:
            reason = str(error.message)
            name = re.match(r"'(\w+)' is undefined", reason)
            place = _place(text, rf"\b({name[1]})\b") if name else None
            raise QueryError(
                f"{path}: {reason}; there is {_NAMES}, but none of dbt's macros and packages", place
            ) from None
        except (TypeError, jinja2.TemplateError) as error:
            raise QueryError(f"{path}: {error}") from None

    def _alias(self, path: Path, declared: _Declared) -> str:
        """Return the name of the table that a file becomes, as far as it says so."""
        file = self._files.get(path.stem)
        return declared.config.get("alias", path.stem) if file is None else file.relation.identifier


def read(paths: Sequence[Path], variables: Mapping[str, Any]) -> tuple[Project, tuple[str, ...]]:
    """Return the project that holds files or folders, and the names of the files that they mean.

    A project is the folder with `dbt_project.yml` above a path; without one, the folder itself, or
    that of the file.

    Raises:
        VistaError: there is nothing there, or two files have one name.
    """
    files: dict[str, Path] = {}
    meant: list[str] = []
    for path in paths:
        if not path.exists():
            raise VistaError(f"there is no file or folder {path}")
        start = path.absolute() if path.is_dir() else path.absolute().parent
        root = next((p for p in (start, *start.parents) if (p / PROJECT_FILE).is_file()), None)
        inside = sorted(_queries(root or start, deep=root is not None or path.is_dir()))
        below = [file for file in inside if file.is_relative_to(path.absolute())]
        if path.is_file() and not below:
            inside, below = [*inside, path.absolute()], [path.absolute()]
        if not below:
            raise VistaError(f"there is no query file (*.sql) in {path}")
        for file in inside:
            other = files.setdefault(file.stem, file)
            if other != file:
                raise VistaError(
                    f"two query files are called {file.stem!r}, {_shown(other)} and "
                    f"{_shown(file)}: a file's name is its table's; rename one"
                )
        meant.extend(file.stem for file in below)
    shown = {name: _shown(file) for name, file in files.items()}
    return Project(shown, variables), tuple(dict.fromkeys(meant))


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
    folder = Path.cwd()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


def _materialized(config: Mapping[str, Any], path: Path) -> Materialized:
    """Return what a file's `config` makes of its rows; QueryError where it asks for what is not."""
    for name in config:
        if name not in (*_KNOWN, *_WITHOUT_EFFECT):
            raise UnknownNameError("config", name, _KNOWN, None, str(path))
    asked = config.get("materialized", "view")
    for materialized in MATERIALIZED:
        if asked == materialized:
            return materialized
    raise UnknownNameError("materialization", asked, MATERIALIZED, None, str(path))


def _unique_key(config: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """Return the columns whose values replace rows that are there; none: rows are appended."""
    strategy = config.get("incremental_strategy")
    if strategy is not None and strategy not in STRATEGIES:
        raise UnknownNameError("incremental strategy", strategy, STRATEGIES, None, str(path))
    key = config.get("unique_key") or ()
    if strategy == "delete+insert" and not key:
        raise QueryError(f"{path}: incremental_strategy='delete+insert' needs a unique_key")
    if strategy == "append":
        return ()
    return (key,) if isinstance(key, str) else tuple(key)


def _one_select(sql: str, where: object) -> str:
    """Return a rendered text without its last `;`, if it is one SELECT."""
    statements = parse.parse(sql)
    if len(statements) != 1 or statements[0].kind != "select":
        content = "nothing" if not statements else f"{len(statements)} statements"
        if len(statements) == 1:
            content = statements[0].text.split()[0].upper()
        raise QueryError(f"{where}: a query file must hold one SELECT, but this one {content}")
    end = sql.rindex(statements[0].text) + len(statements[0].text)
    return sql[:end]


def _with(ctes: Sequence[str], sql: str) -> str:
    """Return a SELECT with common table expressions before its own.

    Example:
        >>> print(_with(["a AS (SELECT 1)"], "WITH b AS (SELECT 2) SELECT * FROM a, b"))
        WITH a AS (SELECT 1), b AS (SELECT 2) SELECT * FROM a, b
    """
    if not ctes:
        return sql
    tokens = reading.tokenize(sql)
    if tokens[0].text.upper() != "WITH":
        start = tokens[0].start
        return f"{sql[:start]}WITH {', '.join(ctes)}\n{sql[start:]}"
    last = 1 if tokens[1].text.upper() == "RECURSIVE" else 0
    end = tokens[last].end + 1
    return f"{sql[:end]} {', '.join(ctes)},{sql[end:]}"


def _place(text: str, pattern: str) -> Place | None:
    match = re.search(pattern, text)
    return Place(text, match.start(1), match.end(1)) if match else None


def _line(text: str, number: int) -> Place:
    lines = text.splitlines() or [""]
    start = sum(len(line) + 1 for line in lines[: number - 1])
    return Place(text, start, start + max(1, len(lines[min(number, len(lines)) - 1])))
