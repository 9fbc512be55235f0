"""dbt-style query files, one SELECT in Jinja each → their order, and the SQL of each.

A file's name without `.sql` is that of the table or view that it becomes. `read` finds the files,
`Project.ordered` says in which order they run, `Project.render` gives the SQL of one,
`materializations` what stores its rows. dbt runs the same files: `ref`, `source`, `var`, `env_var`,
`config`, `this` and `is_incremental()` mean the same there, and so does its YAML (`configuration`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from itertools import permutations
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from vista_sql.errors import QueryError, UnknownNameError, VistaError
from vista_sql.query_files import configuration, jinja
from vista_sql.query_files.configuration import PROJECT_FILE, Folders, shown
from vista_sql.query_files.file import (
    Config,
    QueryFile,
    TableName,
    configured,
    merged,
    relation,
    said_by,
)
from vista_sql.sql import parse, reading
from vista_sql.sql.dialect import DUCKDB, Dialect

__all__ = ["Project", "QueryFile", "TableName", "read"]

_CTE = "__dbt__cte__"


class _Declared(Struct):
    """What a file declares by the functions that it calls while it is rendered."""

    config: Config = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    sources: list[TableName] = field(default_factory=list)


class Project:
    """The query files that can refer to each other; a file is read when it is first needed."""

    def __init__(
        self, paths: Mapping[str, Path], folders: Mapping[str, Folders], dialect: Dialect = DUCKDB
    ) -> None:
        """Take the files by name, the folders that they are from, and what SQL they hold."""
        self._paths, self._folders, self._dialect = dict(paths), dict(folders), dialect
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

        The seeds that they refer to come with them. A file that cannot be read stays where it is.

        Raises:
            QueryError: files need each other in a circle.
        """
        wanted = set(names)
        for name in names:
            wanted |= {other for other in self._read_by(name) if self._is_seed(other)}
        graph = {name: sorted(self._needs(name)) for name in sorted(self._upstream(names))}
        try:
            order = tuple(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = " → ".join(reversed(error.args[1]))
            raise QueryError(f"query files need each other in a circle: {circle}") from None
        return tuple(name for name in order if name in wanted and self._takes_part(name))

    def broken(self, names: Sequence[str]) -> dict[str, VistaError]:
        """Return why files cannot be run, by name, as far as their text and YAML tell.

        Args:
            names: in the order in which they need each other; what needs a broken file is not
                looked at.
        """
        wrong = self._of_one_relation(names)
        for name in names:
            if self.needed_by(name) & wrong.keys():
                continue
            try:
                self.render(name)
            except VistaError as error:
                wrong[name] = error
        return wrong

    def _of_one_relation(self, names: Sequence[str]) -> dict[str, VistaError]:
        """Return why files cannot be run that become a table or view that another becomes, too."""
        makers: dict[str, list[QueryFile]] = {}
        for file in filter(None, map(self._readable, self.names)):
            if file.enabled and file.materialized != "ephemeral":
                makers.setdefault(str(file.relation).lower(), []).append(file)
        return {
            file.name: QueryError(
                f"{self.path(file.name)}: it becomes {file.relation}, as does "
                f"{self.path(other.name)}: give one of them another name, alias or schema"
            )
            for files in makers.values()
            for file, other in permutations(files, 2)
            if file.name in names
        }

    def unused(self) -> tuple[str, ...]:
        """Return what YAML configures although it is not there, like models.shop.stagign."""
        folders = {folders.root: folders for folders in self._folders.values()}
        return tuple(name for one in folders.values() for name in one.unused())

    def path(self, name: str) -> Path:
        """Return where a file is."""
        return self._paths[name]

    def select(self, wanted: Sequence[str], among: Sequence[str]) -> tuple[str, ...]:
        """Return the names that `--select` means, in dbt's words.

        NAME, with `*` for any letters, path:FOLDER or tag:TAG; with + in front what they need too,
        with + behind what needs them. Words with a space between add up.

        Raises:
            UnknownNameError: there is no such file.
        """
        selected: set[str] = set()
        for selector in (word for words in wanted for word in words.split()):
            found = self._meant(selector.strip("+"))
            selected |= found
            if selector.startswith("+"):
                selected |= self._upstream(sorted(found))
            if selector.endswith("+"):
                selected |= {other for other in among if found & self._upstream([other])}
        return tuple(sorted(selected))

    def _meant(self, selector: str) -> set[str]:
        """Return the names that a selector without its plus signs means."""
        method, colon, value = selector.partition(":")
        if not colon:
            found = {name for name in self.names if fnmatchcase(name, selector)}
        elif method == "path":
            asked = Path(value).absolute()
            roots = {folders.root for folders in self._folders.values()}
            places = [asked, *(root / value for root in roots)]
            found = {
                name
                for name in self.names
                if any(self._paths[name].absolute().is_relative_to(place) for place in places)
            }
        elif method == "tag":
            files = filter(None, map(self._readable, self.names))
            found = {file.name for file in files if value in file.tags}
        else:
            raise UnknownNameError("selector", method, ("path", "tag"))
        if not found:
            raise UnknownNameError("query file", selector, self.names)
        return found

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
        if file.is_seed:
            return file.text
        sql = _one_select(
            self._rendered(name, file.path, file.text, _Declared(), incremental),
            file.path,
            self._dialect,
        )
        ctes = []
        for other in map(self.file, self.ordered(tuple(self._inlined(name)))):
            if other.materialized != "ephemeral":
                continue  # a seed that comes with one
            inner = self._rendered(other.name, other.path, other.text, _Declared())
            inner = _one_select(inner, other.name, self._dialect)
            name_of = self._dialect.identifier(_CTE + other.name)
            ctes.append(f"{name_of} AS (\n{inner}\n)")
        return _with(ctes, sql, self._dialect)

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
                waiting.extend(self._needs(name))
        return reached

    def _needs(self, name: str) -> tuple[str, ...]:
        """Return what a file needs, as far as it can be read."""
        file = self._readable(name)
        return () if file is None else file.needs

    def _readable(self, name: str) -> QueryFile | None:
        """Return a file; None where it cannot be read, and nothing is known of it."""
        try:
            return self.file(name)
        except VistaError:
            return None

    def _read_by(self, name: str) -> Iterator[str]:
        """Yield what the SQL of a file reads: what it needs, through ephemeral files too."""
        for other in self._needs(name):
            yield other
            file = self._readable(other)
            if file is not None and file.materialized == "ephemeral":
                yield from self._read_by(other)

    def _is_seed(self, name: str) -> bool:
        file = self._readable(name)
        return file is not None and file.is_seed

    def _takes_part(self, name: str) -> bool:
        file = self._readable(name)
        return file is None or file.enabled

    def _read(self, name: str) -> QueryFile:
        path, base = self._paths[name], self._base(name)
        if path.suffix.lower() == ".csv":
            text = configuration.seed_select(path, base)
            return QueryFile(
                name=name,
                path=path,
                text=text,
                is_seed=True,
                **configured(base, name, is_seed=True),
            )
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise QueryError(f"{path}: the file is not UTF-8 text") from None
        declared = _Declared()
        for incremental in (True, False):  # files that are needed either way count
            declared.config = base
            self._rendered(name, path, text, declared, incremental, parsing=True)
        return QueryFile(
            name=name,
            path=path,
            text=text,
            needs=tuple(dict.fromkeys(declared.needs)),
            sources=tuple(dict.fromkeys(declared.sources)),
            **configured(declared.config, name),
        )

    def _base(self, name: str) -> Config:
        """Return what YAML says of a file."""
        return self._folders[name].config(self._paths[name].absolute())

    def _rendered(
        self,
        file_name: str,
        path: Path,
        text: str,
        declared: _Declared,
        incremental: bool = False,
        *,
        parsing: bool = False,
    ) -> str:
        """Return a file's text with its Jinja carried out."""
        folders = self._folders[file_name]

        def ref(name: str, in_package: str | None = None, /, **version: Any) -> TableName:
            name = str(in_package or name)  # the first of two is the package
            kind = folders.others.get(name, "model of several versions" if version else "")
            if kind and (version or name not in self._paths):
                raise QueryError(
                    f"{path}: it needs {name}, a {kind}, which dbt alone makes: take the table "
                    "that dbt made by source(…), or run this project with dbt"
                )
            if name not in self._paths:
                place = jinja.place(text, rf"\bref\s*\([^)]*['\"]({re.escape(name)})['\"]")
                raise UnknownNameError("query file", name, self.names, place)
            declared.needs.append(name)
            if parsing:  # what it refers to may refer to this file
                return TableName(name)
            other = self.file(name)
            if not other.enabled:
                raise QueryError(f"{path}: it needs {name}, which config(enabled=…) turns off")
            ephemeral = other.materialized == "ephemeral"
            if ephemeral:
                return TableName(_CTE + name, dialect=self._dialect)
            return replace(other.relation, dialect=self._dialect)

        def source(schema: str, table: str) -> TableName:
            found = folders.sources.get((schema, table), TableName(table, schema))
            if isinstance(found, str):
                raise QueryError(f"{path}: source({schema!r}, {table!r}): {found}")
            declared.sources.append(found)
            return replace(found, dialect=self._dialect)

        def config(values: Mapping[str, Any] | None = None, **more: Any) -> str:
            said = {key: said_by(path, key, v) for key, v in {**(values or {}), **more}.items()}
            declared.config = merged(declared.config, said)
            return ""

        names: dict[str, Any] = {
            **jinja.known(path, text, folders.variables),
            **{function.__name__: function for function in (ref, source, config)},
            "this": self._this(file_name, declared),
            "is_incremental": lambda: incremental,
            "execute": not parsing,
        }
        return jinja.rendered(path, text, names)

    def _this(self, name: str, declared: _Declared) -> TableName:
        """Return the table that a file becomes, as far as it says so."""
        file = self._files.get(name)
        found = relation(declared.config, name) if file is None else file.relation
        return replace(found, dialect=self._dialect)


def read(
    paths: Sequence[Path], variables: Mapping[str, Any], dialect: Dialect = DUCKDB
) -> tuple[Project, tuple[str, ...]]:
    """Return the project that holds files or folders, and the names of the files that they mean.

    A project is the folder with `dbt_project.yml` above a path, its files those of its
    `model-paths` and `seed-paths`; without one, the folder itself, or that of the file.

    Raises:
        VistaError: there is nothing there, or two files have one name.
    """
    files: dict[str, Path] = {}
    homes: dict[str, Folders] = {}
    meant: list[str] = []
    for path in paths:
        if not path.exists():
            raise VistaError(f"there is no file or folder {path}")
        start = path.absolute() if path.is_dir() else path.absolute().parent
        root = next((p for p in (start, *start.parents) if (p / PROJECT_FILE).is_file()), None)
        folders = configuration.read(root or start, variables, deep=path.is_dir())
        inside = [*folders.queries, *folders.seeds]
        below = [file for file in inside if file.is_relative_to(path.absolute())]
        if path.is_file() and not below:
            inside, below = [*inside, path.absolute()], [path.absolute()]
        if not below:
            raise VistaError(f"there is no query file (*.sql) in {path}")
        for file in inside:
            other = files.setdefault(file.stem, file)
            if other != file:
                raise VistaError(
                    f"two query files are called {file.stem!r}, {shown(other)} and "
                    f"{shown(file)}: a file's name is its table's; rename one"
                )
            homes[file.stem] = folders
        meant.extend(file.stem for file in below)
    project = Project({name: shown(file) for name, file in files.items()}, homes, dialect)
    return project, tuple(dict.fromkeys(meant))


def _one_select(sql: str, where: object, dialect: Dialect) -> str:
    """Return a rendered text without its last `;`, if it is one SELECT."""
    statements = parse.parse(sql, dialect)
    if len(statements) != 1 or statements[0].kind != "select":
        content = "nothing" if not statements else f"{len(statements)} statements"
        if len(statements) == 1:
            content = statements[0].text.split()[0].upper()
        raise QueryError(f"{where}: a query file must hold one SELECT, but this one {content}")
    end = sql.rindex(statements[0].text) + len(statements[0].text)
    return sql[:end]


def _with(ctes: Sequence[str], sql: str, dialect: Dialect = DUCKDB) -> str:
    """Return a SELECT with common table expressions before its own.

    Example:
        >>> print(_with(["a AS (SELECT 1)"], "WITH b AS (SELECT 2) SELECT * FROM a, b"))
        WITH a AS (SELECT 1), b AS (SELECT 2) SELECT * FROM a, b
    """
    if not ctes:
        return sql
    tokens = reading.tokenize(sql, dialect)
    if tokens[0].text.upper() != "WITH":
        start = tokens[0].start
        return f"{sql[:start]}WITH {', '.join(ctes)}\n{sql[start:]}"
    last = 1 if tokens[1].text.upper() == "RECURSIVE" else 0
    end = tokens[last].end + 1
    return f"{sql[:end]} {', '.join(ctes)},{sql[end:]}"
