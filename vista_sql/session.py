"""A session: the pipeline wired once, and the only file where all its parts meet."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa

from vista_sql import store
from vista_sql.errors import Place, QueryError, UnknownNameError
from vista_sql.functions import transfer
from vista_sql.functions.transfer import Transfer
from vista_sql.hosts.duckdb import caller, rows
from vista_sql.hosts.duckdb import functions as host
from vista_sql.hosts.duckdb.caller import Scope
from vista_sql.hosts.duckdb.limit import process_shares
from vista_sql.machine import calibration
from vista_sql.machine.resources import Sink
from vista_sql.planning import explain
from vista_sql.planning.binding import Binder
from vista_sql.planning.memory import Allowance
from vista_sql.planning.planner import StatementPlanner
from vista_sql.progress import Report, Watch, nothing
from vista_sql.result import Result
from vista_sql.runs import Estimate, Runs
from vista_sql.settings import Settings
from vista_sql.sql import parse, sinks
from vista_sql.sql.calls import Call
from vista_sql.sql.parse import Statement
from vista_sql.sql.quoting import text_literal

TRAINING = ("vista_train", "vista_compare")


class Session:
    """vista_sql on one DuckDB connection, which is its attribute `con`."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, *, own: bool, salt: str | None = None
    ) -> None:
        """Attach to a connection.

        Args:
            con: the connection; statements of ours run on it, in the user's transaction.
            own: whether `close` closes it.
            salt: makes generated names unguessable; given only where they must be predictable.
        """
        self.con, self._own = con, own
        self._salt = salt or secrets.token_hex(8)
        self._lent = caller.Lent(con)
        file = host.database_file(con)
        self._folder = f"{file}.vista" if file else _session_folder(self)
        attach(con, self, self._folder)
        self._folder = host.home(con)  # that of the database's first session
        self._binder = Binder(
            self._folder, self._salt, host.BIND_TIME, host.process_runtime(), self._glimpse
        )
        if own:
            weakref.finalize(self, con.close)  # at the latest when Python ends

    # ── what users call ─────────────────────────────────────────────────────────────────────────

    def query(
        self,
        sql: str,
        params: Any = None,
        *,
        progress: Report | None = None,
        scope: Scope | None = None,
    ) -> Result:
        """Run statements and return the rows of the last one.

        A SELECT is planned and bound at once and runs when its rows are first asked for; any other
        statement runs at once. TRANSFER and VISTA_* calls are planned with the whole statement.

        Args:
            sql: one or more statements.
            params: values of the last statement's parameters (`$1`, `?`, `$name`).
            progress: told how far it is, in any thread, while the statement infers; see `Progress`
                and, for a bar on the terminal or under a notebook's cell, `progress_bar`.
            scope: finds the caller's variables, which stand for tables.

        Raises:
            VistaError: a statement cannot be planned or run; says where and what to do.
            duckdb.Error: DuckDB refuses a statement that is not ours.
        """
        statements = parse.parse(sql)
        if not statements:
            raise QueryError("there is no statement")
        scope, progress = scope or caller.caller_scope(sys._getframe(1)), progress or nothing
        for statement in statements[:-1]:
            self._start(statement, None, progress, scope).arrow()
        return self._start(statements[-1], params, progress, scope)

    def rewrite(self, sql: str) -> str:
        """Return the staged SQL of a statement: its narrow rows, then the calls upon them."""
        statement = self._one(sql)
        planner = self._planner(self.settings(), None, text=statement.text)
        text = planner.expand(statement) if _planned(statement) else statement.text
        return explain.script(planner.transfers, text)

    def explain(self, sql: str, *, measure: bool = False) -> str:
        """Return how a statement would run: plans, decisions, staged SQL. Nothing is inferred.

        Args:
            sql: one statement.
            measure: run it once, all its columns (a SELECT), and tell what it took.
        """
        statement = self._one(sql)
        if measure and statement.kind != "select":
            raise QueryError("this would change something: measure the SELECT that is in it")
        planner = self._planner(self.settings(), None, text=statement.text)
        text = planner.expand(statement) if _planned(statement) else statement.text
        planned = explain.render(planner.transfers, text)
        if not measure:
            return planned
        call = f"FROM VISTA_EXPLAIN({text_literal(statement.text)}, measure => true)"
        return f"{planned}\n\n{explain.measured(self.query(call).arrow().to_pylist())}"

    def close(self) -> None:
        """Close the connection, if it is the session's own."""
        if self._own:
            self.con.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── what planning asks ──────────────────────────────────────────────────────────────────────

    def settings(self, variables: Mapping[str, Any] | None = None) -> Settings:
        """Return the settings: the connection's variables over the environment."""
        return Settings(host.variables(self.con) if variables is None else variables)

    def home(self, settings: Settings) -> str:
        """Return the folder of models, runs and errors."""
        return self._binder.home(settings)

    def _calibrated(self, settings: Settings) -> bool:
        """Measure this machine if that was never done; returns whether it was done now."""
        path = calibration.file_of(settings.value("calibration"))
        if path is None or calibration.load(path).is_measured:
            return False
        from vista_sql.doctor import measurement  # once a machine

        kept = store.chosen(settings.value("store").value, None)
        known = calibration.load(path).networks
        calibration.save(path, replace(measurement.measure(kept.folder), networks=known))
        return calibration.load(path).is_measured

    def _planner(
        self, settings: Settings, params: Any, run: str = "", text: str = ""
    ) -> StatementPlanner:
        return StatementPlanner(
            settings,
            self.home(settings),
            replace(host.STATEMENTS, sink=sinks.sink_of(text, self._tables())),
            f"{self._salt}{run}",  # several results may be open at once
            runs=lambda _: run,
            rates=self._binder.rates(settings),
            database=_Database(self.con, params),
        )

    def _tables(self) -> Sink:
        return "table" if host.database_file(self.con) is None else "file table"

    def expand(self, call: Call, variables: Mapping[str, Any]) -> str:
        """Plan one call while DuckDB binds the statement that holds it; return its SELECT."""
        return self._binder.expand(call, self.settings(variables))

    def _glimpse(self, relation: str) -> Mapping[str, str] | None:
        try:
            with self.con.cursor() as cursor:
                return host.describe(cursor, f"SELECT * FROM {relation}")
        except duckdb.Error:
            return None

    def _one(self, sql: str) -> Statement:
        statements = parse.parse(sql)
        if len(statements) != 1:
            raise QueryError(f"one statement is planned at a time, not {len(statements)}")
        return statements[0]

    # ── running ─────────────────────────────────────────────────────────────────────────────────

    def _start(self, statement: Statement, params: Any, progress: Report, scope: Scope) -> Result:
        self._binder.flush()
        with contextlib.ExitStack() as undo:
            undo.enter_context(_placed(statement))
            undo.enter_context(host.translated())
            self._lent.tidy()
            for name in caller.variables(self.con, statement, scope, self._lent):
                self._lent.lend(name, scope(name), undo)
            if not _planned(statement):
                return self._run(statement, statement.text, params, Allowance(), lambda: None, undo)
            settings = self.settings()
            journal = Runs(self.home(settings))
            run = journal.open(statement.text)
            planner = self._planner(settings, params, run, statement.text)
            text = planner.expand(statement)
            if any(t.plan.images_inferred for t in planner.transfers) and self._calibrated(
                settings
            ):
                planner = self._planner(
                    settings, params, run, statement.text
                )  # by what is known now
                text = planner.expand(statement)
            allowed = transfer.allowance(planner.transfers)
            staged = [t for t in planner.transfers if t.apart]
            trains = any(found.call.function in TRAINING for found in statement.calls)
            counters = partial(host.process_runtime().counters, run)
            watch = Watch(progress, counters, calls=len(planner.transfers), trains=trains)
            undo.callback(watch.stop)
            handed_out = rows.counted([t.workload.facts.rows for t in staged], watch.rows)
            for planned in staged:
                relation = self._rows(planned, params, handed_out)
                self._lent.lend(planned.staged.rows_name, relation, undo)
            plan = ", ".join(f"{t.plan.kind}/{t.plan.placement}" for t in planner.transfers)
            undo.callback(_forget, run)
            rates = calibration.file_of(settings.value("calibration"))
            ended = partial(_ended, journal, run, plan, _estimate(planner.transfers, text), rates)
            left = _left_in(text, params)
            return self._run(statement, text, left, allowed, ended, undo, watch.finish)

    def _run(
        self,
        statement: Statement,
        text: str,
        params: Any,
        allowed: Allowance,
        ended: Callable[[], None],
        undo: contextlib.ExitStack,
        finished: Callable[[], None] = lambda: None,
    ) -> Result:
        """Return the bound statement as a Result (a SELECT), or run it now (anything else)."""
        if statement.kind != "select":
            undo.enter_context(self._share(allowed))
        try:
            relation = self.con.sql(text, params=params)
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise _located(error, statement) from error
        columns = dict(zip(relation.columns, map(str, relation.types), strict=True))
        if statement.kind != "select":
            table = relation.to_arrow_table()
            finished()
            ended()
            return Result(columns, lambda _: iter(table.to_batches()), table.schema)
        kept = undo.pop_all()  # until the rows were read, or nobody can ask for them any more

        def read(n_rows: int) -> Iterator[pa.RecordBatch]:
            with kept, _placed(statement), host.translated(), self._share(allowed):
                try:
                    reader = relation.to_arrow_reader(min(n_rows, allowed.reader_rows))
                    if (made := weak()) is not None:
                        made._schema = reader.schema
                    yield from reader
                    finished()
                finally:
                    ended()

        result = Result(columns, read, kept_bytes=allowed.kept_bytes)
        weak = weakref.ref(result)  # no cycle: what is lent goes when the result does
        weakref.finalize(result, kept.close)
        return result

    def _share(self, allowed: Allowance) -> contextlib.AbstractContextManager[None]:
        """Keep DuckDB within its part of the statement's memory limit."""
        if allowed.engine_bytes is None:
            return contextlib.nullcontext()
        return process_shares().held(self.con, self._folder, allowed)

    def _rows(self, transfer: Transfer, params: Any, handed_out: rows.Progress) -> rows.Rows:
        """Return the narrow rows of a staged call, in batches of the plan's size."""
        staged, batch_rows = transfer.staged, transfer.plan.batch_rows
        params = _left_in(staged.rows, params)
        waiting = partial(host.process_runtime().handing_out_rows, transfer.run)
        if self._visible_elsewhere(staged.rows, params):
            return rows.streamed(self.con, staged.rows, batch_rows, handed_out, waiting)
        return rows.spooled(self.con, staged.rows, params, batch_rows, handed_out, waiting)

    def _visible_elsewhere(self, query: str, params: Any) -> bool:
        """Return whether a query means the same on another connection to this database."""
        if params or "getvariable" in query.lower() or host.in_transaction(self.con):
            return False
        if parse.identifiers(query) & host.private_names(self.con):
            return False
        with self.con.cursor() as cursor:
            place = "SELECT current_database(), current_schemas(false)::VARCHAR"
            if cursor.execute(place).fetchall() != self.con.execute(place).fetchall():
                return False
            try:
                host.describe(cursor, query)
            except duckdb.Error:
                return False
        return True


def _planned(statement: Statement) -> bool:
    """Return whether we plan a statement; else DuckDB binds it, with our macros."""
    return bool(statement.calls) and statement.kind != "other"


def _left_in(text: str, params: Any) -> Any:
    """Return the parameters that a text still has: DuckDB refuses one that was planned away."""
    names = parse.parameters(text) if params else None
    if names is None:
        return params
    numbered = not isinstance(params, Mapping)
    given = {str(n): value for n, value in enumerate(params, 1)} if numbered else params
    return {name: given[name] for name in names if name in given} or None


def _estimate(transfers: Sequence[Transfer], text: str) -> Estimate:
    """Return what is expected of a statement's TRANSFERs."""
    facts = [t.workload.facts for t in transfers if t.workload.used_taps]
    images = [f.images if f.distinct_images is None else f.distinct_images for f in facts]
    return Estimate(
        peak_bytes=max((t.plan.peak_bytes for t in transfers), default=None),
        images_inferred=None if None in images else sum(filter(None, images)),
        explained=explain.render(transfers, text) if transfers else "",
    )


def _ended(journal: Runs, run: str, plan: str, estimate: Estimate, rates: Path | None) -> None:
    if not plan:
        return
    runtime = host.process_runtime()
    counts = runtime.counters(run)
    journal.close(run, plan, counts, estimate)
    if counts.images_inferred:
        timed = runtime.timed().items()
        calibration.learn(rates, {calibration.network_key(*key): value for key, value in timed})


def _forget(run: str) -> None:
    host.process_runtime().end(run)


def _located(error: duckdb.Error, statement: Statement) -> Exception:
    """Return what DuckDB says of a name with its place in the user's text; else DuckDB's error."""
    if not statement.calls:
        return error
    said = str(error).partition("\n\nLINE ")[0].partition("\nLINE ")[0]
    named = re.search(r'"([^"]+)"|with name (\S+)', said)
    if named is None:
        return error
    name = named[1] or named[2]
    span = parse.word_span(statement.text, name)
    place = Place(statement.text, *span) if span else parse.value_place(statement, name)
    if place is None:
        return error
    return QueryError(" ".join(said.partition("Error: ")[2].split()), place)


@contextlib.contextmanager
def _placed(statement: Statement) -> Iterator[None]:
    """Give a name that only a kernel could look up its place in the user's text."""
    try:
        yield
    except UnknownNameError as error:
        argument = error.kind.split()[0]  # 'label column' is what the argument `label` names
        place = error.place or parse.value_place(statement, error.name, argument)
        if error.place is not None or place is None:
            raise
        raise UnknownNameError(error.kind, error.name, error.known, place, error.where) from None


class _Database:
    """What planning asks of one connection."""

    def __init__(self, con: duckdb.DuckDBPyConnection, params: Any) -> None:
        self._con, self._params = con, params

    def columns(self, query: str) -> Mapping[str, str]:
        """Return a query's columns; raise QueryError where it does not bind."""
        try:
            return host.describe(self._con, query)
        except duckdb.Error as error:
            raise QueryError(str(error).splitlines()[0]) from error

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables and views there are."""
        return host.tables(self._con)

    def value(self, expression: str) -> Any:
        """Return the value of a constant expression, parameters included."""
        try:
            return host.value(self._con, expression, self._params)
        except duckdb.Error as error:
            raise QueryError(str(error).splitlines()[0]) from error

    def counts(self, query: str) -> tuple[float | None, ...]:
        """Return the one row of numbers that a query gives."""
        try:
            return cast("tuple[float | None, ...]", self._con.execute(query).fetchall()[0])
        except duckdb.Error as error:
            raise QueryError(str(error).splitlines()[0]) from error

    def views(self) -> Mapping[str, str]:
        """Return the definitions of the views there are, by name in lower case."""
        return host.views(self._con)

    def plan(self, query: str) -> str:
        """Return DuckDB's physical plan of a query as JSON."""
        try:
            return str(self._con.execute(f"EXPLAIN (FORMAT json) {query}").fetchall()[0][1])
        except duckdb.Error as error:
            raise QueryError(str(error).splitlines()[0]) from error

    def images(self, query: str) -> Sequence[bytes | str | None]:
        """Return the values of a query's one column of images or paths."""
        return [row[0] for row in self._con.execute(query).fetchall()]


def _session_folder(session: Session) -> str:
    """Return the name of a folder that goes with the session; nothing is created yet."""
    folder = Path(tempfile.gettempdir()) / f"vista_sql_{secrets.token_hex(8)}"
    weakref.finalize(session, shutil.rmtree, folder, ignore_errors=True)
    return str(folder)


def attach(
    con: duckdb.DuckDBPyConnection, session: Session | None = None, home: str | None = None
) -> None:
    """Make TRANSFER and VISTA_* known to a connection, so that plain `con.sql()` has them.

    The kernels are registered once a database, the TEMP macros on each connection: call it again on
    each cursor. Statements are planned one call at a time there; `query()` plans them whole.

    Args:
        con: any DuckDB connection.
        session: the session that plans; None: one is made for the connection.
        home: where models, runs and errors live unless the settings say; with `session` only.
    """
    if session is None or home is None:
        Session(con, own=False)
        return
    host.register(con, session.expand, home)
    host.create_macros(con)


def connect(database: str | Path = ":memory:", **config: Any) -> Session:
    """Open a DuckDB database with vista_sql on it.

    A new file gets the storage format that every shell from 1.4 on opens; for that of DuckDB 2.0
    give `storage_compatibility_version="latest"`.

    Args:
        database: a file, created if absent, or ":memory:".
        config: DuckDB's own settings.
    """
    host.create_file(str(database), config)
    con = duckdb.connect(str(database), config=config)
    return Session(con, own=True)


def query(
    sql: str,
    con: duckdb.DuckDBPyConnection | None = None,
    params: Any = None,
    *,
    progress: Report | None = None,
) -> Result:
    """Run statements on `con`, or on a default session in memory; see `Session.query`.

    The caller's DataFrames, Arrow tables, relations and NumPy arrays can be named as tables, as
    DuckDB has it.

    Args:
        sql: one or more statements.
        con: any DuckDB connection.
        params: values of the last statement's parameters.
        progress: told how far it is.
    """
    session = _default() if con is None else Session(con, own=False)
    scope = caller.caller_scope(sys._getframe(1))
    return session.query(sql, params, progress=progress, scope=scope)


@cache
def _default() -> Session:
    return connect()
