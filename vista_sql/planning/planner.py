"""Statement → Script: the steps of planning in their order, a file each.

A statement is planned with what its database knows, or, where a host plans a call while its
statement is bound, with a database of which nothing is known (`database.Unseen`): the same steps,
which then claim less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from vista_sql.errors import PlanError, QueryError
from vista_sql.kernels import Engine, InferSpec
from vista_sql.planning import (
    base_tables,
    boxes,
    explain,
    facts,
    memory,
    optimizer,
    rewrite,
    travel,
)
from vista_sql.planning.bind import (
    columns_of,
    engine_of,
    located,
    resolved,
    select_of,
    workload_of,
)
from vista_sql.planning.calls import base_spec
from vista_sql.planning.candidates import Machine
from vista_sql.planning.context import Context
from vista_sql.planning.database import Database, Naming
from vista_sql.planning.optimizer import Plan
from vista_sql.planning.rows import Identifiers, joined_rows
from vista_sql.planning.script import Constant, Fed, Kept, Made, Scored, Script, Transfer
from vista_sql.planning.workload import Relation, Workload, load_cnn
from vista_sql.settings import Value
from vista_sql.sql import edit, folders, needs, parse
from vista_sql.sql.calls import Call, Explained, ImageReading, ImageRows, load
from vista_sql.sql.dialect import Dialect
from vista_sql.sql.needs import Needs
from vista_sql.sql.parse import FoundCall, Statement
from vista_sql.sql.resolve import StandIn


def plan(statement: Statement, database: Database, context: Context) -> Script:
    """Return how to run a statement: bind → needs → facts → choose → rewrite → splice.

    Args:
        statement: with calls of ours, at least one.
        database: is asked for columns, counts and plans.
        context: everything else that the plan depends on.

    Raises:
        QueryError: a call is wrong; its place is in the error.
        PlanError: no plan of a TRANSFER fits in memory.

    Example: a call of another function, which stands for a constant table
        >>> from vista_sql.planning.capabilities import Capabilities
        >>> from vista_sql.planning.context import FreshNames
        >>> from vista_sql.planning.database import Unseen
        >>> from vista_sql.settings import Settings
        >>> (statement,) = parse.parse("SELECT n FROM VISTA_RUNS() AS r WHERE rows > 9")
        >>> context = Context(Settings(), "no such folder", Capabilities(), FreshNames("salt"))
        >>> print(plan(statement, Unseen(), context).text)  # doctest: +ELLIPSIS
        SELECT n FROM (
        SELECT CAST("run_id" AS VARCHAR) AS "run_id", ...
        WHERE false
        ) AS r WHERE rows > 9
    """
    bound = [bind(found, database, context) for found in statement.calls]
    demanded = demand(statement, bound, database)
    counted = [count(call) for call in demanded]
    chosen = [choose(call) for call in counted]
    staged = [stage(call) for call in chosen]
    return splice(statement, staged, database, context)


def plan_call(call: Call, database: Database, context: Context) -> Script:
    """Return how to run one call whose statement is not known: all of it is needed."""
    bound = _bound(call.checked(), CallPlanner(Naming(database, ()), context))
    part = stage(choose(count(bound)))
    return Script(part.text, _transfers([part]), _made([part]))


# ── bind ────────────────────────────────────────────────────────────────────────────────────────


ALL_ROWS = 2**63 - 1
"""A LIMIT that leaves none out."""


class Bound(Struct, frozen=True):
    """A TRANSFER call whose arguments, relations and layers are known."""

    call: Call
    workload: Workload
    database: Naming  # as the call sees it
    context: Context
    names: Identifiers  # that no user's name equals
    made: tuple[Made, ...] = ()  # what its relations stand upon, where that is no text

    def needing(self, needs: Needs) -> Bound:
        """Return the call with what its statement needs of it."""
        return replace(self, workload=replace(self.workload, needs=needs))


class Expanded(Struct, frozen=True):
    """A call of any other function: the SELECT that it stands for, and the TRANSFERs in that."""

    call: Call
    text: str
    database: Naming
    transfers: tuple[Transfer, ...]
    made: tuple[Made, ...] = ()


def bind(found: FoundCall, database: Database, context: Context) -> Bound | Expanded:
    """Return a call of a statement, bound; what its relations hold is planned on the way."""
    outer = database if isinstance(database, Naming) else Naming(database, ())
    call = resolved(found.call, database)
    return _bound(
        call,
        CallPlanner(outer.naming(parse.visible_ctes(found, context.capabilities.dialect)), context),
    )


def _bound(call: Call, planner: CallPlanner) -> Bound | Expanded:
    context, database = planner.context, planner.database
    call = context.located(call)
    with located(call):
        expand = load(call.function).expand
        if expand is None:
            workload = workload_of(call, planner)
            names = Identifiers(context.names.fresh(""), context.capabilities.dialect)
            return Bound(call, workload, database, context, names, planner.beneath)
        text = planner.readable(call, expand(call, planner))
        return Expanded(call, text, database, tuple(planner.transfers), tuple(planner.made))


# ── needs ───────────────────────────────────────────────────────────────────────────────────────


def demand(
    statement: Statement, calls: Sequence[Bound | Expanded], database: Database
) -> list[Bound | Expanded]:
    """Return the calls with what the statement needs of them; of other functions' rows, all."""
    transfers = [call for call in calls if isinstance(call, Bound)]
    columns_known = any(call.workload.narrow_columns for call in transfers)
    if not columns_known or any(call.context.needs_all for call in transfers):
        return list(calls)  # a workload needs everything until more is known

    def columns(relation: str) -> Mapping[str, str] | None:
        try:
            return columns_of(relation, database)
        except QueryError:
            return None

    wanted = needs.analyse(statement, [_stand_in(call) for call in calls], columns)
    # sqlglot prints no NULLS LAST, which is the default to it: the order could be another one
    ordered = any(one.order or one.qualify for one in wanted)
    is_same_order = not ordered or database.has_usual_order()
    demanded: list[Bound | Expanded] = []
    for call, found, needed in zip(calls, statement.calls, wanted, strict=True):
        if (needed.order or needed.qualify) and not is_same_order:
            needed = replace(needed, order=(), limit=None, qualify=None)
        # a SAMPLE below inference leaves its own place: one whose place is not found stays above
        if needed.sample and edit.sample_span(statement.text, found, statement.dialect) is None:
            needed = replace(needed, sample=None)
        demanded.append(call if isinstance(call, Expanded) else call.needing(needed))
    return demanded


def _stand_in(call: Bound | Expanded) -> StandIn | None:
    """Return the columns of a call's rows; None where they are not known."""
    if isinstance(call, Expanded):
        try:
            database = call.database.naming(Script(call.text, call.transfers).relations)
            columns = database.columns(f"SELECT * FROM (\n{call.text}\n)")
        except QueryError:
            return None
        return None if columns is None else StandIn(columns, frozenset(), one_row_each=False)
    workload = call.workload
    narrow = workload.narrow_columns or {}
    return StandIn(
        {**narrow, **workload.added_columns},
        frozenset(narrow),
        one_row_each=workload.on_error != "skip" and workload.format == "wide",
        relation=(workload.structured or workload.images).text,
    )


# ── facts, choose, rewrite ──────────────────────────────────────────────────────────────────────


def count(call: Bound | Expanded) -> Bound | Expanded:
    """Return a TRANSFER call with the facts of its data, and the needs that are worth meeting."""
    if isinstance(call, Expanded):
        return call
    database, names = call.database, call.names
    with located(call.call):
        needed = facts.worthwhile(call.workload, database, names.dialect)
        known = facts.known(replace(call.workload, needs=needed), database, names)
    return replace(call, workload=known)


class Chosen(Struct, frozen=True):
    """A TRANSFER call with its plan."""

    bound: Bound
    plan: Plan
    machine: Machine


def choose(call: Bound | Expanded) -> Chosen | Expanded:
    """Return a TRANSFER call with the plan to run it by."""
    if isinstance(call, Expanded):
        return call
    workload, context, database = call.workload, call.context, call.database
    able = context.capabilities
    may_travel = able.small_batches and able.calls_in_sql and bool(workload.used_taps)
    if may_travel and not travel.is_certain(workload, database, database.clause):
        context = context.whole()
    with located(call.call):
        machine = context.machine(call.call)
        workload = replace(workload, decoders=machine.resources.cores)
        call = replace(call, workload=workload)
        try:
            plan = optimizer.choose(workload, machine)
        except PlanError:
            modest = memory.with_modest_images(workload)
            if modest is workload:
                raise
            call, plan = replace(call, workload=modest), optimizer.choose(modest, machine)
        return Chosen(call, plan, machine)


def stage(call: Chosen | Expanded) -> Transfer | Expanded:
    """Return a TRANSFER call as staged SQL."""
    if isinstance(call, Expanded):
        return call
    bound, context = call.bound, call.bound.context
    run = context.open_run(call.plan.name)
    limit_bytes = call.machine.resources.memory_bytes
    staged = rewrite.stage(
        bound.workload,
        call.plan,
        bound.names,
        calls_in_sql=context.capabilities.calls_in_sql,
        run=run,
        folder=context.folder,
        gate=context.gate,
        decoding_bytes=memory.decoding_limit(
            bound.workload, call.plan.chosen.peak_bytes, limit_bytes
        ),
    )
    clause = bound.database.clause
    staged = replace(staged, rows=clause + staged.rows, shape=clause + staged.shape)
    able = call.machine.capabilities
    return Transfer(bound.workload, call.plan, staged, limit_bytes, able, run, bound.made)


# ── splice ──────────────────────────────────────────────────────────────────────────────────────


def splice(
    statement: Statement,
    parts: Sequence[Transfer | Expanded],
    database: Database,
    context: Context,
) -> Script:
    """Return the statement with each call replaced by its part, where it stands."""
    samples = [
        span
        for found, part in zip(statement.calls, parts, strict=True)
        if isinstance(part, Transfer) and part.workload.needs.sample
        if (span := edit.sample_span(statement.text, found, statement.dialect)) is not None
    ]
    text = edit.splice(statement, [part.text for part in parts], samples)
    transfers = _transfers(parts)
    if context.capabilities.sink == "parquet":
        row_bytes = sum(memory.feature_bytes(transfer.workload) for transfer in transfers)
        text = edit.with_row_groups(text, memory.row_group_rows(row_bytes))
        text = _with_lists(Script(text, transfers), database)
    return Script(text, transfers, _made(parts))


def _with_lists(script: Script, database: Database) -> str:
    """Return a COPY to Parquet with lists for arrays: DuckDB writes a NULL array wrongly.

    pyarrow and pandas refuse such a file, which DuckDB 2.0 makes of any table with one.
    """
    query = edit.copied_query(script.text)
    if query is None:
        return script.text
    naming = database if isinstance(database, Naming) else Naming(database, ())
    naming = naming.naming(script.relations)
    try:
        columns = naming.columns(f"SELECT * FROM (\n{script.text[slice(*query)]}\n)")
        text = edit.with_lists(script.text, query, columns or {})
        naming.columns(text[slice(*(edit.copied_query(text) or query))])
    except QueryError:
        return script.text  # the database says what is wrong; or two columns have one name
    return text


def _transfers(parts: Sequence[Transfer | Expanded]) -> tuple[Transfer, ...]:
    return tuple(
        transfer
        for part in parts
        for transfer in (part.transfers if isinstance(part, Expanded) else (part,))
    )


def _made(parts: Sequence[Transfer | Expanded]) -> tuple[Made, ...]:
    return tuple(made for part in parts for made in part.made)


# ── inside of a call ────────────────────────────────────────────────────────────────────────────


class CallPlanner(Struct, frozen=True):
    """What the expansion of one call may ask: `sql.calls.Planner`.

    A statement inside of the call is planned like any other, and is part of what the call stands
    for: its TRANSFERs are added to `transfers`.
    """

    database: Naming
    context: Context
    transfers: list[Transfer] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    read: set[str] = field(default_factory=set)  # arguments whose relations the call reads
    given: dict[str, str] = field(default_factory=dict)  # names that stand for rows of the host's

    @property
    def home(self) -> str:
        """The folder of models, runs and errors."""
        return self.context.home

    def setting(self, name: str, call: Call) -> Value:
        """Return the value of a setting that wins."""
        return self.context.setting(name, call)

    def engine(self, call: Call) -> Engine:
        """Return who runs the networks of a TRANSFER call."""
        return engine_of(call, self.context, load_cnn(call)).name

    def can_run(self, engine: Engine) -> bool:
        """Return whether an engine is installed."""
        return engine in self.context.engines.installed

    def fresh_name(self, role: str) -> str:
        """Return a new identifier that no user's name equals."""
        return self.context.names.fresh(role)

    def new_run(self) -> str:
        """Return the id of the run that the kernels count under; "" where nothing runs."""
        return self.context.open_run("")

    @property
    def dialect(self) -> Dialect:
        """The dialect of the texts."""
        return self.context.capabilities.dialect

    @property
    def calls_in_sql(self) -> bool:
        """Whether an expansion may call kernels; else it asks for `fed` and `scored` relations."""
        return self.context.capabilities.calls_in_sql

    def fed(self, kind: str, order: str, relation: str, columns: str) -> str:
        """Return a SELECT of what a run of a kind returns that is fed a relation's rows."""
        rows = self._given(relation)
        self.made.append(Fed(self.fresh_name("fed"), kind, order, rows, columns))
        return self._all_of(self.made[-1].name)

    def scored(self, order: str, relation: str, label_type: str) -> str:
        """Return a SELECT of a relation's rows with what `vista_score` says of each."""
        rows = self._given(relation)
        self.made.append(Scored(self.fresh_name("scored"), order, rows, label_type))
        return self._all_of(self.made[-1].name)

    def kept(self, call: Call, table: str) -> str:
        """Return a SELECT of what keeping the maps of a TRANSFER call's layer in a table is."""
        bound = _bound(call.checked(), CallPlanner(self.database, self.context.inside("transfer")))
        assert isinstance(bound, Bound)  # noqa: S101 - TRANSFER is not expanded
        table = base_tables.new(call, table, bound.workload, self.database)
        made_by = base_tables.made_by(bound.workload, bound.workload.taps[0].layer, self.context)
        part = stage(choose(count(bound)))
        assert isinstance(part, Transfer)  # noqa: S101 - as above
        staged = rewrite.keeping(part.staged, bound.workload, bound.names)
        self.transfers.append(part := replace(part, staged=staged))
        map_bytes = memory.map_bytes(bound.workload.taps[0].layer)
        self.made.append(Kept(self.fresh_name("kept"), part, table, made_by, map_bytes))
        return self._all_of(self.made[-1].name)

    @property
    def beneath(self) -> tuple[Made, ...]:
        """What the relations that were read stand upon, where that is no text."""
        return () if self.calls_in_sql else (*self.transfers, *self.made)

    def readable(self, call: Call, text: str) -> str:
        """Return an expansion as the host's engine reads it.

        Raises:
            QueryError: it reads tables by kernels in SQL, which the engine has not.
        """
        if self.calls_in_sql or any(isinstance(made, Fed | Scored | Kept) for made in self.made):
            return text
        if self.read:
            raise call.error(
                "",
                f"{call.function.upper()} does not read tables of {self.dialect.name}: export them "
                "to Parquet, and run it on DuckDB",
            )
        given = tuple(self.given.items())
        self.made.append(Constant(self.fresh_name("constant"), text, given))
        return self._all_of(self.made[-1].name)

    @staticmethod
    def _all_of(name: str) -> str:
        return f"SELECT * FROM {name} AS {name}"

    def fenced(self, relation: str) -> str:
        """Return a relation to be joined whose own filters stay where they are."""
        if not self.context.capabilities.lifts_filters:
            return relation
        return f"(FROM {relation} LIMIT {ALL_ROWS})"

    def resolved(self, call: Call) -> Call:
        """Return a call found in a text with the values of `getvariable('x')` in its arguments."""
        return self.context.located(resolved(call, self.database))

    def feeding(self, call: Call, gate: str = "") -> CallPlanner:
        """Return the planner of what feeds a training: both stay under the call's limit."""
        limit = self.context.setting("memory_limit", call)
        return replace(self, context=self.context.feeding(limit, gate))

    def relation(self, text: str, call: Call, argument: str) -> str:
        """Return a relation's text cleaned, as it can stand after FROM, its own calls expanded."""
        relation = self.subquery(text, call, argument).text
        self.read.discard(argument)
        return self._named(relation)

    def _named(self, relation: str) -> str:
        """Return a relation as an expansion has it: where DuckDB cannot read it, by a name."""
        if self.calls_in_sql:
            return relation
        name = self.fresh_name("given")
        self.given[name] = relation
        return name

    def _given(self, text: str) -> str:
        """Return a text with the relations that names in it stand for."""
        for name, relation in self.given.items():
            text = text.replace(name, relation)
        return text

    def subquery(self, text: str, call: Call, argument: str) -> Relation:
        """Return a relation's text cleaned, with its own calls expanded; its columns are unread."""
        self.read.add(argument)
        try:
            cleaned = parse.clean_relation(text, self.context.capabilities.dialect)
        except QueryError as error:
            raise call.error(argument, error.message) from None
        if folders.is_folder(text):
            folders.some_file(text)  # or an error
        if not cleaned.startswith("(") or not parse.mentions(cleaned):
            return Relation(cleaned)
        statement = parse.parse(cleaned[1:-1], self.context.capabilities.dialect)[0]
        if not statement.calls:
            return Relation(cleaned)
        script = plan(statement, self.database, self.context.inside(call.function))
        self._takes(script)
        return Relation(f"({script.text})", is_computed=True)

    @property
    def seen(self) -> Naming:
        """The database, with the rows of the TRANSFERs inside that stand apart."""
        return self.database.naming(Script("", tuple(self.transfers)).relations)

    def columns(self, relation: str) -> Mapping[str, str] | None:
        """Return the columns of what stands after FROM; None: they cannot be seen."""
        try:
            return self.seen.columns(f"SELECT * FROM {self._given(relation)}")
        except QueryError:
            return None

    def transferred(self, call: Call, function: str, *, features: bool) -> str:
        """Return the rows of a TRANSFER that a call of `function` makes, as text after FROM."""
        planner = CallPlanner(self.database, self.context.inside(function))
        bound = _shown(_bound(call.checked(), planner), features=features)
        part = stage(choose(count(bound)))
        self._takes(Script("", _transfers([part]), _made([part])))
        if features or isinstance(bound, Expanded):
            return self._named(f"(\n{part.text}\n)")
        added = ", ".join(map(self.dialect.identifier, bound.workload.added_columns))
        return self._named(f"(SELECT * {self.dialect.less} ({added}) FROM (\n{part.text}\n))")

    def _takes(self, script: Script) -> None:
        """Keep what a text inside of the call stands upon."""
        self.transfers.extend(script.transfers)
        self.made.extend(script.made)

    def reading(self, call: Call) -> ImageReading:
        """Return what a TRANSFER call reads, and what it asks of the kernels."""
        self.read.add("images")
        boxes.refuse(call)
        workload, context = workload_of(call, self), self.context
        spec = base_spec(workload, run=self.new_run(), folder=context.folder, gate=context.gate)
        layers = tuple(tap.layer.name for tap in workload.taps)
        return ImageReading(
            workload.images.text, workload.image_key, workload.image_column, layers, spec
        )

    def asked(self, call: Call) -> InferSpec:
        """Return what a TRANSFER call asks of the kernels, of rows that are read elsewhere."""
        alone = replace(self, read=set())
        return alone.reading(call).spec

    def image_rows(self, call: Call, function: str) -> ImageRows:
        """Return the rows of a TRANSFER call as they are before inference."""
        boxes.refuse(call)
        planner = CallPlanner(self.database, self.context.inside(function))
        workload, context = workload_of(call, planner), self.context
        self.transfers.extend(planner.transfers)
        self.read.add("images")
        names = Identifiers(context.names.fresh(""), context.capabilities.dialect)
        spec = base_spec(workload, run=self.new_run(), folder=context.folder, gate=context.gate)
        return ImageRows(
            relation=f"(\n{joined_rows(workload, names)}\n)",
            columns=workload.narrow_columns,
            key=workload.image_key if workload.structured is None else workload.structured_key,
            key_text=names.key,
            image=names.image,
            spec=replace(
                spec,
                layers=tuple(tap.layer.name for tap in workload.taps),
                batch_rows=context.setting("batch_rows", call).value,
                threads=context.setting("threads", call).value,
            ),
        )

    def explained(self, call: Call, argument: str, *, runs: bool) -> Explained:
        """Return the plan of the SELECT that an argument holds, as facts, and its text.

        Args:
            call: the call that explains it.
            argument: the argument.
            runs: whether the text will run as part of the statement.

        Raises:
            QueryError: it is no SELECT, or cannot be planned.
        """
        statement = select_of(call, argument, self.context.capabilities.dialect)
        run = self.new_run() if runs else ""
        part = f"{run}/{self.context.names.count}" if run else ""
        able = replace(self.context.capabilities, sink="rows")
        context = replace(self.context, open_run=lambda plan: part, capabilities=able)
        script = plan(statement, self.database, context)
        try:
            database = self.database.naming(script.relations)
            database.columns(f"SELECT * FROM (\n{script.text}\n)")
        except QueryError as error:
            raise call.error(argument, f"{argument}: {error.message}") from None
        if runs:
            self.read.add(argument)
            self._takes(script)
        rows = tuple(explain.facts(script))
        return Explained(rows, script.text, part, run)


def _shown(call: Bound | Expanded, *, features: bool) -> Bound | Expanded:
    """Return a TRANSFER call whose columns are shown, with or without those that it adds.

    Where the database tells no columns, DuckDB leaves out what is not shown.
    """
    if isinstance(call, Expanded) or call.workload.narrow_columns is None or call.context.needs_all:
        return call
    columns = (*call.workload.narrow_columns, *(call.workload.added_columns if features else ()))
    return call.needing(Needs(frozenset(column.lower() for column in columns)))
