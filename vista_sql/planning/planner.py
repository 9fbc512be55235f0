"""Expand the calls of a statement: the part of a session that plans, for every host.

`StatementPlanner` sees the whole statement and asks the database for columns and facts.
`BindPlanner` runs while DuckDB binds a statement, and plans from the call's text alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from vista_sql.errors import QueryError, SettingError, UnknownNameError
from vista_sql.functions import transfer
from vista_sql.functions.transfer import Transfer
from vista_sql.machine import resources
from vista_sql.machine.calibration import DEFAULTS, Rates
from vista_sql.machine.resources import Capabilities, Resources
from vista_sql.planning import coverage, explain, facts, memory
from vista_sql.planning.workload import Facts, Workload
from vista_sql.settings import Settings, Value
from vista_sql.sql import edit, needs, parse
from vista_sql.sql.calls import Call, Explained
from vista_sql.sql.calls import load as load_function
from vista_sql.sql.needs import EVERYTHING, Needs
from vista_sql.sql.parse import Ctes, FoundCall, Statement, Unresolved
from vista_sql.sql.resolve import StandIn


class Database(Protocol):
    """What planning asks of the database; all texts are DuckDB's dialect."""

    def columns(self, query: str) -> Mapping[str, str]:
        """Return a query's columns (name → type); raise QueryError where it does not bind."""

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables and views there are."""

    def value(self, expression: str) -> Any:
        """Return the value of a constant expression."""

    def images(self, query: str) -> Sequence[bytes | str | None]:
        """Return the values of a query's one column of images or paths."""

    def counts(self, query: str) -> tuple[float | None, ...]:
        """Return the one row of numbers that a query gives; raise QueryError where it fails."""

    def views(self) -> Mapping[str, str]:
        """Return the definitions of the views there are, by name in lower case."""

    def plan(self, query: str) -> str:
        """Return DuckDB's physical plan of a query as JSON; raise QueryError where it fails."""


@dataclass
class BindPlanner:
    """Plans one call while DuckDB binds the statement that holds it; keeps what it planned."""

    settings: Settings
    home: str
    capabilities: Capabilities
    salt: str  # makes generated names unguessable
    runs: Callable[[str], str] = lambda _: ""
    look: Callable[[str], Mapping[str, str] | None] = lambda _: None
    rates: Rates = DEFAULTS
    folder: str = ""  # what relative paths are relative to; "" is the process's working folder
    transfers: list[Transfer] = field(default_factory=list)
    _names: int = 0
    _trainings: tuple[Value, ...] = ()  # the limits of the trainings that are fed

    def setting(self, name: str, call: Call) -> Value:
        """Return the value of a setting that wins."""
        has = any(argument.name == name for argument in load_function(call.function).arguments)
        given = call.get(name) if has else None
        try:
            return self.settings.value(name, given)
        except SettingError as error:
            if given is None:
                raise
            raise call.error(name, str(error)) from None

    def resources(self, call: Call) -> Resources:
        """Return the cores and the memory that a call may use."""
        limits = (self.setting("memory_limit", call), *self._trainings)
        given = [limit for limit in limits if limit.value is not None]
        least = min(given, key=lambda limit: int(limit.value), default=None)
        found = resources.machine(None if least is None else least.value)
        source = found.memory_source
        if least is not None and source == "memory_limit":
            source = f"memory_limit, {least.source}"
        if not self._trainings:
            return replace(found, memory_source=source)
        left = memory.beside_training(found.memory_bytes)
        source += ", less the training's share"
        share = memory.BESIDE_TRAINING
        return replace(found, memory_bytes=left, memory_source=source, share=share)

    @contextmanager
    def training(self, call: Call) -> Iterator[None]:
        """Enclose the planning of what feeds a training: both stay under the call's limit."""
        outer, self._trainings = (
            self._trainings,
            (*self._trainings, self.setting("memory_limit", call)),
        )
        try:
            yield
        finally:
            self._trainings = outer

    def relation(self, text: str, call: Call, argument: str) -> str:
        """Return a relation's text cleaned, the calls in it expanded."""
        try:
            cleaned = parse.clean_relation(text)
        except QueryError as error:
            raise call.error(argument, error.message) from None
        if not cleaned.startswith("(") or not parse.mentions(cleaned):
            return cleaned
        statements = parse.parse(cleaned[1:-1])
        return f"({self.expand(statements[0])})" if statements[0].calls else cleaned

    def columns(self, relation: str) -> Mapping[str, str] | None:
        """Return None: at bind time a temporary table or a CTE may hide what a name stands for."""
        return None

    def glimpse(self, relation: str) -> Mapping[str, str] | None:
        """Return the columns of the committed, lasting relation of that name, if there is one."""
        return self.look(relation)

    def fresh_name(self, role: str) -> str:
        """Return `__vista_<unguessable>_<role>`; equal calls in an equal order get equal names."""
        self._names += 1
        digest = blake2b(f"{self.salt}:{self._names}".encode(), digest_size=4).hexdigest()
        return f"__vista_{digest}_{role}"

    def new_run(self, plan: str = "") -> str:
        """Return the id of the run that the kernels count under."""
        return self.runs(plan)

    def expand(self, statement: Statement) -> str:
        """Return a statement's text with every call replaced by what it stands for."""
        return edit.splice(statement, [self._expanded(f.call.checked()) for f in statement.calls])

    def located(self, call: Call) -> Call:
        """Return a call whose relative paths of networks and weights are those of `folder`."""
        if not self.folder:
            return call
        values = dict(call.values)
        for name in ("cnn", "weights"):
            given = values.get(name)
            if isinstance(given, str):
                path = Path(self.folder, given)
                values[name] = str(path) if path.suffix and path.is_file() else given
        return replace(call, values=values)

    def _expanded(self, call: Call) -> str:
        call = self.located(call)
        if call.function != "transfer":
            return load_function(call.function).expand(call, self)
        planned = transfer.plan(call, self, transfer.bind(call, self))
        self.transfers.append(planned)
        return planned.staged.whole

    def explained(self, call: Call, argument: str, *, runs: bool) -> Explained:
        """Plan the SELECT that an argument holds."""
        statement = _select(call, argument)
        run = self.new_run() if runs else ""
        part = f"{run}/{self._names}" if run else ""
        able = replace(self.capabilities, sink="rows")
        inner = replace(self, runs=lambda _: part, transfers=[], capabilities=able)
        text = inner.expand(statement)
        self._check(inner.transfers, text, call, argument)
        self._names = inner._names
        if runs:
            self.transfers += inner.transfers
        return Explained(tuple(explain.facts(inner.transfers, text)), text, part, run)

    def _check(self, transfers: list[Transfer], text: str, call: Call, argument: str) -> None:
        """Raise QueryError where a planned SELECT does not bind; at bind time DuckDB will."""


@dataclass
class StatementPlanner(BindPlanner):
    """Plans whole statements, with what the database knows."""

    database: Database | None = None
    _ctes: Ctes = ()

    def columns(self, relation: str) -> Mapping[str, str] | None:
        """Return a relation's columns.

        Raises:
            UnknownNameError: there is no such table.
            QueryError: the query does not bind; in DuckDB's words.
        """
        assert self.database is not None  # noqa: S101  (set where the planner is made)
        try:
            return self.database.columns(f"{_with(self._ctes)}SELECT * FROM {relation}")
        except QueryError as error:
            bare = relation.strip('"')
            if not relation.startswith("(") and "does not exist" in error.message:
                raise UnknownNameError("table", bare, self.database.tables()) from None
            raise

    def relation(self, text: str, call: Call, argument: str) -> str:
        """Return a relation's text cleaned; a TRANSFER inside TRANSFER's own stands there whole."""
        outer = self.capabilities
        small = outer.small_batches and call.function != "transfer"
        self.capabilities = replace(outer, small_batches=small, sink="rows")
        try:
            return super().relation(text, call, argument)
        finally:
            self.capabilities = outer

    def expand(self, statement: Statement) -> str:
        """Return the staged text of a statement; its TRANSFERs are added to `transfers`."""
        assert self.database is not None  # noqa: S101
        calls = [self._resolved(found) for found in statement.calls]
        texts: list[str] = []
        stand_ins: list[StandIn | None] = []
        bound: list[Workload | None] = []
        for found, call in zip(statement.calls, calls, strict=True):
            with self._within(found, call):
                if call.function == "transfer":
                    workload = transfer.bind(call, self)
                    bound.append(workload)
                    texts.append("")
                    stand_ins.append(_stand_in(workload))
                else:
                    bound.append(None)
                    texts.append(load_function(call.function).expand(call, self))
                    stand_ins.append(self._other(texts[-1]))
        found_needs = self._needs(statement, stand_ins)
        samples: list[tuple[int, int]] = []
        for index, transferred in enumerate(bound):
            if transferred is None:
                continue
            found, needed = statement.calls[index], found_needs[index]
            if needed.sample:
                span = edit.sample_span(statement.text, found)
                if span is None:
                    needed = replace(needed, sample=None)
                else:
                    samples.append(span)
            with self._within(found, calls[index]):
                needed = self._worthwhile(transferred, needed)
                planned = transfer.plan(calls[index], self, transferred, needed, self._facts)
                staged = planned.staged
                staged = replace(staged, rows=_with(self._ctes) + staged.rows)
            apart = bool(planned.plan.stages) and self.capabilities.small_batches
            self.transfers.append(replace(planned, staged=staged, apart=apart))
            texts[index] = staged.calls if apart else staged.whole
        text = edit.splice(statement, texts, samples)
        if self.capabilities.sink != "parquet":
            return text
        row_bytes = sum(memory.feature_bytes(planned.workload) for planned in self.transfers)
        return edit.with_row_groups(text, memory.row_group_rows(row_bytes))

    @contextmanager
    def _within(self, found: FoundCall, call: Call) -> Iterator[None]:
        """Name what a call can name, and give errors about it its place."""
        outer, self._ctes = self._ctes, self._ctes + parse.visible_ctes(found)
        try:
            with _placed(call):
                yield
        finally:
            self._ctes = outer

    def _check(self, transfers: list[Transfer], text: str, call: Call, argument: str) -> None:
        """Raise QueryError where a planned SELECT does not bind; in DuckDB's words."""
        assert self.database is not None  # noqa: S101
        whole = _whole(text, transfers)
        try:
            self.database.columns(f"{_with(self._ctes)}SELECT * FROM (\n{whole}\n)")
        except QueryError as error:
            raise call.error(argument, f"{argument}: {error.message}") from None

    def _needs(self, statement: Statement, stand_ins: list[StandIn | None]) -> tuple[Needs, ...]:
        def columns_of(relation: str) -> Mapping[str, str] | None:
            try:
                return self.columns(relation)
            except QueryError:
                return None

        if any(stand_in is not None and stand_in.narrow for stand_in in stand_ins):
            return needs.analyse(statement, stand_ins, columns_of)
        return tuple(EVERYTHING for _ in stand_ins)

    def _other(self, text: str) -> StandIn | None:
        assert self.database is not None  # noqa: S101
        whole = _whole(text, self.transfers)
        try:
            columns = self.database.columns(f"{_with(self._ctes)}SELECT * FROM ({whole})")
        except QueryError:
            return None
        return StandIn(columns, frozenset(), one_row_each=False)

    def _facts(self, workload: Workload) -> Facts:
        assert self.database is not None  # noqa: S101
        database, ctes = self.database, _with(self._ctes)
        name = self.fresh_name("")
        found = facts.gather(workload, name, lambda query: database.counts(ctes + query))
        if found.rows is None:
            return found

        def images(query: str) -> Sequence[bytes | str | None]:
            return database.images(ctes + query)

        if found.image_bytes is None:
            found = replace(found, image_bytes=coverage.file_bytes(workload, images))
        return replace(found, stored=coverage.look(workload, name, images))

    def _worthwhile(self, workload: Workload, needed: Needs) -> Needs:
        assert self.database is not None  # noqa: S101
        database, ctes = self.database, _with(self._ctes)
        return facts.worthwhile(
            replace(workload, needs=needed),
            lambda query: database.counts(ctes + query),
            lambda query: database.plan(ctes + query),
            lambda: database.views(),
        )

    def _resolved(self, found: FoundCall) -> Call:
        """Return the call with getvariable() and parameters as values."""
        assert self.database is not None  # noqa: S101
        values = dict(found.call.values)
        for name, value in values.items():
            if isinstance(value, Unresolved):
                if parse.parameters(value.sql) is None:
                    raise found.call.error(
                        name, f"{name} => ?: number the statement's parameters, $1, $2 …"
                    )
                try:
                    values[name] = self.database.value(value.sql)
                except QueryError as error:
                    raise found.call.error(name, f"{name}: {error.message}") from None
        return replace(found.call, values=values).checked()


class _placed:
    """Give errors that know no place the place of the call they are about."""

    def __init__(self, call: Call) -> None:
        self._places = call.places

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, QueryError) and error.place is None:
            named = error.kind if isinstance(error, UnknownNameError) else ""
            error.place = self._places.get(named) or self._places.get("")


def _whole(text: str, transfers: list[Transfer]) -> str:
    """Return a planned text with the rows that the host would hand out in their places."""
    for staged in (planned.staged for planned in transfers if planned.apart):
        rows = f"(\n{staged.rows}\n) AS {staged.rows_name}"
        text = text.replace(f"{staged.rows_name} AS {staged.rows_name}", rows)
    return text


def _select(call: Call, argument: str) -> Statement:
    """Return the one SELECT that an argument holds.

    Raises:
        ArgumentError: it holds something else, or what cannot be read.
    """
    text = call.get(argument)
    if not isinstance(text, str):
        raise call.error(argument, f"{argument} must be a SELECT as text, $$SELECT …$$")
    statements = parse.parse(text)
    if len(statements) != 1:
        raise call.error(
            argument, f"{argument} must be one SELECT, not {len(statements)} statements"
        )
    (statement,) = statements
    if statement.kind != "select":
        raise call.error(
            argument,
            f"{argument} must be a SELECT; db.explain() and `vista explain` take any statement",
        )
    if statement.tree is None:
        try:
            parse.clean_relation(text)
        except QueryError as error:
            raise call.error(argument, f"{argument}: {error.message}") from None
    return statement


def _stand_in(workload: Workload) -> StandIn:
    narrow = workload.narrow_columns or {}
    return StandIn(
        {**narrow, **workload.added_columns},
        frozenset(narrow),
        one_row_each=workload.on_error != "skip" and workload.format == "wide",
        relation=(workload.structured or workload.images).text,
    )


def _with(ctes: Ctes) -> str:
    if not ctes:
        return ""
    recursive = "RECURSIVE " if any(recursive for _, recursive in ctes) else ""
    return f"WITH {recursive}{', '.join(text for text, _ in ctes)} "
