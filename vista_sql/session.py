"""A session: statements are parsed, planned, run and recorded, on one DuckDB connection."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import warnings
import weakref
from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from types import NoneType
from typing import Any

import duckdb
from msgspec.structs import replace

from vista_sql import catalog, kernels, models, store
from vista_sql.errors import QueryError, UnreadableImagesWarning
from vista_sql.hosts import engines
from vista_sql.hosts.duckdb import caller
from vista_sql.hosts.duckdb import database as databases
from vista_sql.hosts.duckdb.caller import Scope
from vista_sql.hosts.duckdb.connection import Connection
from vista_sql.hosts.duckdb.database import Seen
from vista_sql.hosts.duckdb.functions import translated
from vista_sql.hosts.duckdb.in_process import InProcess, Watched
from vista_sql.hosts.duckdb.process import process
from vista_sql.kernels import Fact
from vista_sql.machine import calibration
from vista_sql.planning import explain
from vista_sql.planning.context import Context, FreshNames
from vista_sql.planning.planner import plan
from vista_sql.planning.script import Script
from vista_sql.progress import Report, Watch, nothing
from vista_sql.result import Result
from vista_sql.runs import Estimate, Runs, unreadable
from vista_sql.settings import Settings
from vista_sql.sql import parse, reading
from vista_sql.sql.parse import Statement
from vista_sql.sql.quoting import text_literal

log = logging.getLogger(__name__)

TRAINING = ("vista_train", "vista_compare")

WORTH_SECONDS = 5.0
"""Of a statement, by cautious defaults: before a shorter one the machine is not measured, which
takes a second."""


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
        with caller.lents().to(con).turns.turn():
            self._connection = Connection(con, salt=salt or secrets.token_hex(8))
        self._host = InProcess(con, self._connection.folder)
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
        is_report = callable(progress) and not hasattr(progress, "__enter__")
        if progress is not None and not is_report:
            raise QueryError(
                f"progress is {progress!r}, and must be a function of one Progress: give the bar "
                "of `with vista_sql.progress_bar() as progress:`"
            )
        if not isinstance(params, (Iterable, NoneType)) or isinstance(params, (str, bytes)):
            raise QueryError(
                f"params is {params!r}, and must be a list of the values of $1, $2, … and ?, or a "
                "dict by name: params=[3], params={'n': 3}"
            )
        statements = parse.parse(sql)
        if not statements:
            raise QueryError("there is no statement")
        scope, progress = scope or caller.caller_scope(sys._getframe(1)), progress or nothing
        with self._host.turn():
            for statement in statements[:-1]:
                self._start(statement, None, progress, scope).arrow()
            return self._start(statements[-1], params, progress, scope)

    def cursor(self) -> Session:
        """Return a session of its own on the same database, as each thread or request needs one.

        It sees what is committed; temporary tables, variables and transactions are each its own.
        """
        return Session(self.con.cursor(), own=True)

    def rewrite(self, sql: str) -> str:
        """Return the staged SQL of a statement: its narrow rows, then the calls upon them."""
        script = self._planned(self._one(sql))
        return explain.staged_sql(script)

    def explain(self, sql: str, *, measure: bool = False) -> str:
        """Return how a statement would run: plans, decisions, staged SQL. Nothing is inferred.

        Args:
            sql: one statement.
            measure: run it once, all its columns (a SELECT), and tell what it took.
        """
        statement = self._one(sql)
        if measure and statement.kind != "select":
            raise QueryError("this statement would change something: measure only the SELECT in it")
        script = self._planned(statement)
        planned = explain.render(script)
        if not measure:
            return planned
        call = f"FROM VISTA_EXPLAIN({text_literal(statement.text)}, measure => true)"
        facts = [Fact(**row) for row in self.query(call).arrow().to_pylist()]
        return f"{planned}\n\n{explain.measured(facts)}"

    def export_model(self, model: str, file: str | Path) -> dict[str, str]:
        """Write a kept model as one ONNX file: pixels and columns in, probabilities out.

        It holds the network up to the model's layers, pooling, scaling and regression, and runs
        without vista_sql, in ONNX Runtime for one.

        Args:
            model: a kept model: name, name/layer, name@version.
            file: replaced where it is there, once the new one is whole.

        Returns:
            The file's metadata: network, weights' sha256, preprocessing, columns, classes …

        Raises:
            UnknownNameError: there is no such model; known ones are offered.
            ModelError: it has no form in ONNX, or the file cannot be written.
        """
        with self._host.turn():
            home = self.home(self.settings())
        export = catalog.module(kernels.PACKAGE, "exported").export
        said: dict[str, str] = export(models.find(home, model), Path(file))
        return said

    def close(self) -> None:
        """Close the connection, if it is the session's own."""
        if self._own:
            self.con.close()

    def __repr__(self) -> str:
        folder = Path(self._connection.folder)
        return f"<vista_sql.Session on {folder.stem if folder.suffix == '.vista' else ':memory:'}>"

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── planning ────────────────────────────────────────────────────────────────────────────────

    def settings(self) -> Settings:
        """Return the settings: the connection's variables over the environment."""
        return self._connection.settings()

    def home(self, settings: Settings) -> str:
        """Return the folder of models, runs and errors."""
        return self._connection.binder.home(settings)

    def _planned(self, statement: Statement) -> Script:
        """Return how a statement would run, under no run."""
        with self._host.turn(), translated():
            return self._script(statement, self.settings(), None)

    def _script(
        self,
        statement: Statement,
        settings: Settings,
        params: Any,
        run: str = "",
        *,
        needs_all: bool = False,
    ) -> Script:
        """Return how a statement runs; one that is not ours to plan stays as it is.

        Args:
            statement: the statement.
            settings: of the session.
            params: values of its parameters.
            run: that the kernels count under.
            needs_all: plan columns, too, that it seems not to use.
        """
        if not _is_planned(statement):
            return Script(statement.text)
        context = Context(
            settings,
            self.home(settings),
            self._host.capabilities_for(statement.text),
            # several results may be open at once, and one whose statement was planned again
            FreshNames(f"{self._connection.salt}{run}{needs_all or ''}"),
            rates=self._connection.binder.rates(settings),
            engines=engines.here(),
            open_run=lambda plan: run,
            needs_all=needs_all,
        )
        script = reading.unless_sqlglot_fails(
            lambda: plan(statement, Seen(self.con, params), context)
        )
        return script or Script(statement.text)  # DuckDB reads it, and plans the calls one by one

    def _one(self, sql: str) -> Statement:
        statements = parse.parse(sql)
        if len(statements) != 1:
            raise QueryError(f"only one statement can be planned at a time, not {len(statements)}")
        return statements[0]

    # ── running ─────────────────────────────────────────────────────────────────────────────────

    def _start(self, statement: Statement, params: Any, progress: Report, scope: Scope) -> Result:
        self._connection.binder.flush()
        with self._host.serving(statement, scope) as undo:
            undo.callback(_held, self)  # a session is not dropped before the rows are read
            if not _is_planned(statement):
                script = Script(statement.text)
                return self._host.start(statement, script, params, Watched(), undo)
            settings = self.settings()
            journal = Runs(self.home(settings))
            run = journal.open(statement.text)
            script = self._script(statement, settings, params, run)
            is_long = sum(t.plan.chosen.price.seconds for t in script.transfers) >= WORTH_SECONDS
            if script.images_inferred and is_long and _calibrated(settings):
                script = self._script(statement, settings, params, run)  # by what is known now
            watch = Watch(
                progress,
                partial(process().runtime.counters, run),
                calls=len(script.transfers),
                trains=any(found.call.function in TRAINING for found in statement.calls),
            )
            undo.callback(watch.stop)
            undo.callback(_forget, run)
            ended = partial(_record, journal, run, script, settings)
            watched = Watched(watch.finish, ended, watch.rows)
            again = partial(self._script, statement, settings, params, run, needs_all=True)
            return self._host.start(statement, script, params, watched, undo, again)


def _is_planned(statement: Statement) -> bool:
    """Return whether we plan a statement; else DuckDB binds it, with our macros."""
    return bool(statement.calls) and statement.kind != "other"


def _calibrated(settings: Settings) -> bool:
    """Measure this machine if that was never done; return whether it was done now."""
    path, unmeasured = calibration.file_of(settings.value("calibration")), process().unmeasured
    if path is None or path in unmeasured or calibration.load(path).is_measured:
        return False
    from vista_sql.hosts.duckdb import measurement  # once a machine

    folder = store.chosen(settings.value("store").value, None).folder
    unmeasured.add(path)  # whatever comes of it, it is tried once a process
    try:
        rates = measurement.measure(folder)
    except Exception as error:  # of any of what is probed: the statement does not need it
        log.warning("this machine cannot be measured, cautious defaults stand: %s", error)
        return False
    calibration.save(path, replace(rates, networks=calibration.load(path).networks))
    return calibration.load(path).is_measured


def _record(journal: Runs, run: str, script: Script, settings: Settings) -> None:
    """Write the record of a run that has ended, and what it tells of how long networks take."""
    runtime = process().runtime
    counts = runtime.counters(run)
    if not script.transfers and not counts.images:
        return
    plans = ", ".join(transfer.plan.name for transfer in script.transfers)
    journal.close(run, plans, counts, _estimate(script) if script.transfers else None)
    if counts.errors:
        message = unreadable(counts.errors, counts.images, counts.reasons)
        warnings.warn(message, UnreadableImagesWarning, stacklevel=2)
    if counts.images_inferred:
        path = calibration.file_of(settings.value("calibration"))
        timed = runtime.timed().items()
        calibration.learn(path, {calibration.network_key(*key): value for key, value in timed})


def _estimate(script: Script) -> Estimate:
    """Return what is expected of a statement's TRANSFERs."""
    facts = [t.workload.facts for t in script.transfers if t.workload.used_taps]
    images = [f.images if f.distinct_images is None else f.distinct_images for f in facts]
    return Estimate(
        peak_bytes=max((t.plan.chosen.peak_bytes for t in script.transfers), default=None),
        images_inferred=None if None in images else sum(filter(None, images)),
        explained=explain.render(script) if script.transfers else "",
    )


def _held(session: Session) -> None:
    del session


def _forget(run: str) -> None:
    process().runtime.end(run)


def attach(con: duckdb.DuckDBPyConnection) -> None:
    """Make TRANSFER and VISTA_* known to a connection, so that plain `con.sql()` has them.

    The kernels are registered once a database, the TEMP macros on each connection: call it again on
    each cursor. Statements are planned one call at a time there; `query()` plans them whole.

    Args:
        con: any DuckDB connection.
    """
    Connection(con)


def connect(
    database: str | Path = ":memory:", *, read_only: bool = False, **config: Any
) -> Session:
    """Open a DuckDB database with vista_sql on it.

    A new file gets the storage format that every shell from 1.4 on opens; for that of DuckDB 2.0
    give `storage_compatibility_version="latest"`.

    Args:
        database: a file, created if absent, or ":memory:".
        read_only: open a file that is there, which other processes may read meanwhile.
        config: DuckDB's own settings.
    """
    if "\0" in str(database):
        raise QueryError(
            f"the database is {str(database)!r}, and a path cannot contain a NUL character"
        )
    if not read_only:
        databases.create_file(str(database), config)
    con = duckdb.connect(str(database), read_only=read_only, config=config)
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


def _default() -> Session:
    """Return the session of this process that is used where none is given."""
    with process().opening:
        return _opened(os.getpid())


@cache
def _opened(process_id: int) -> Session:
    del process_id  # a session cannot cross a fork
    return connect()
