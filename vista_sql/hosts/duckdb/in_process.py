"""Scripts on DuckDB in this process: narrow rows in batches of the plan's size, then the text."""

from __future__ import annotations

import contextlib
import re
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import Place, QueryError, UnknownNameError
from vista_sql.hosts import Host, HostKind
from vista_sql.hosts.duckdb import caller, database, rows
from vista_sql.hosts.duckdb.caller import Scope
from vista_sql.hosts.duckdb.database import Seen
from vista_sql.hosts.duckdb.functions import is_planned_away, translated
from vista_sql.hosts.duckdb.process import process
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.memory import Allowance
from vista_sql.planning.script import Script, Transfer
from vista_sql.result import Result
from vista_sql.sql import edit, parse
from vista_sql.sql.edit import Sink
from vista_sql.sql.parse import Statement
from vista_sql.sql.quoting import identifier
from vista_sql.sql.types import in_arrow

HOST = HostKind(
    "query",
    "DuckDB in this process: whole statements are planned, and rows staged in small batches",
    Capabilities(small_batches=True),
)


def _nothing() -> None:
    """Do nothing: nobody waits for the statement's end."""


def _no_rows(done: int, total: int | None) -> None:
    """Do nothing: nobody watches."""


class Watched(Struct, frozen=True):
    """Who is told of a running statement."""

    finished: Callable[[], None] = _nothing  # all rows were read
    ended: Callable[[], None] = _nothing  # finished, failed or given up
    rows: Callable[[int, int | None], None] = _no_rows  # narrow rows: done, in all


class InProcess(Host[Result]):
    """One connection on which whole statements run; it is a host."""

    def __init__(self, con: duckdb.DuckDBPyConnection, folder: str) -> None:
        """Serve a connection.

        Args:
            con: statements run on it, in the user's transaction.
            folder: of the database's models and runs: what tells databases apart.
        """
        self.con, self._folder = con, folder
        self._lent = caller.lents().to(con)

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """Return what encloses all that is asked of the connection; see `Turns.turn`."""
        return self._lent.turns.turn()

    @contextlib.contextmanager
    def _reading_turn(self) -> Iterator[None]:
        """Enclose the beginning of a reading, or all of it; what it lets go of goes with it."""
        with self.turn():
            try:
                yield
            finally:
                self._lent.tidy()

    @property
    def capabilities(self) -> Capabilities:
        """What the host can do."""
        return HOST.capabilities

    @property
    def database(self) -> Seen:
        """What planning may ask."""
        return Seen(self.con, None)

    def capabilities_for(self, text: str) -> Capabilities:
        """Return what the host can do for a statement, whose rows go where its text says."""
        tables: Sink = "table"
        if database.database_file(self.con) is not None:
            tables = "file table"
        return replace(HOST.capabilities, sink=edit.sink_of(text, tables))

    def run(self, script: Script) -> Result:
        """Run a script's SELECT without parameters; see `start`."""
        (statement,) = parse.parse(script.text)
        with contextlib.ExitStack() as undo:
            return self.start(statement, script, None, Watched(), undo)

    @contextlib.contextmanager
    def serving(self, statement: Statement, scope: Scope) -> Iterator[contextlib.ExitStack]:
        """Enclose planning and start: errors get their places, the caller's tables can be named.

        Args:
            statement: the statement.
            scope: finds the caller's variables, which stand for tables.

        Yields:
            What is undone at the end, unless a result takes it over.
        """
        with self.turn(), contextlib.ExitStack() as tidied, contextlib.ExitStack() as undo:
            tidied.callback(self._lent.tidy)
            undo.enter_context(placed(statement))
            undo.enter_context(translated())
            self._lent.tidy()
            for name in caller.variables(self.con, statement, scope, self._lent):
                self._lent.lend(name, scope(name), undo)
            yield undo

    def start(
        self,
        statement: Statement,
        script: Script,
        params: Any,
        watched: Watched,
        undo: contextlib.ExitStack,
        again: Callable[[], Script] | None = None,
    ) -> Result:
        """Stage the narrow rows, and return the bound SELECT as a Result; run anything else now.

        Args:
            statement: as the user wrote it.
            script: how it runs.
            params: values of the statement's parameters.
            watched: who is told.
            undo: ends what the statement needs; a SELECT's result takes it over.
            again: plans the statement with every column, should DuckDB read one that it seemed not
                to use.

        Raises:
            QueryError: DuckDB does not know a name; at its place in the user's text.
            duckdb.Error: DuckDB refuses it.
        """
        if statement.kind != "select":
            try:
                return self._executed(statement, script, params, watched, undo)
            except duckdb.Error as error:
                if again is None or not is_planned_away(error):
                    raise
            return self._executed(statement, again(), params, watched, undo)
        allowed = script.allowance()
        relation = self._bound(statement, script, params, watched, undo)
        columns = _columns(relation)
        kept = undo.pop_all()  # until the rows were read, or nobody can ask for them any more

        def batches(n_rows: int) -> Iterator[pa.RecordBatch]:
            n_rows = min(n_rows, allowed.reader_rows)
            read = self._streamed(partial(_in_arrow(relation).to_arrow_reader, n_rows), weak)
            try:
                first = next(read, None)
            except (duckdb.Error, OSError) as error:
                if again is None or not is_planned_away(error):
                    raise
                with self.turn():
                    planned_again = self._bound(statement, again(), params, watched, kept)
                read = self._streamed(
                    partial(_in_arrow(planned_again).to_arrow_reader, n_rows), weak
                )
                first = next(read, None)
            if first is not None:
                yield first
                yield from read

        def read(n_rows: int) -> Iterator[pa.RecordBatch]:
            with kept, placed(statement), translated(), self._share(allowed):
                try:
                    yield from batches(n_rows)
                    watched.finished()
                finally:
                    watched.ended()

        result = Result(columns, read, kept_bytes=allowed.kept_bytes, turn=self._reading_turn)
        weak = weakref.ref(result)  # no cycle: what is lent goes when the result does
        weakref.finalize(result, kept.close)
        self._lent.waits(result)
        return result

    def _bound(
        self,
        statement: Statement,
        script: Script,
        params: Any,
        watched: Watched,
        undo: contextlib.ExitStack,
    ) -> duckdb.DuckDBPyRelation:
        """Stage the narrow rows of a script, and return its text as DuckDB binds (or runs) it."""
        transfers = script.apart
        handed_out = rows.counted([t.workload.facts.rows for t in transfers], watched.rows)
        for transfer in transfers:
            narrow_rows = self._rows(transfer, params, handed_out)
            self._lent.lend(transfer.staged.rows_name, narrow_rows, undo)
        if script.text != statement.text:  # else it is the user's own
            params = left_in(script.text, params)
        try:
            return self.con.sql(script.text, params=params)
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            located = _located(error, statement)
            if located is None:
                raise
            raise located from error

    def _executed(
        self,
        statement: Statement,
        script: Script,
        params: Any,
        watched: Watched,
        undo: contextlib.ExitStack,
    ) -> Result:
        """Run a script whose rows go somewhere; return what DuckDB says of it."""
        with self._share(script.allowance()):
            relation = self._bound(statement, script, params, watched, undo)
            columns = _columns(relation)
            table = _in_arrow(relation).to_arrow_table()
        watched.finished()
        watched.ended()
        return Result(columns, lambda _: iter(table.to_batches()), table.schema)

    def _streamed(
        self, open_reader: Callable[[], pa.RecordBatchReader], result: Callable[[], Result | None]
    ) -> Iterator[pa.RecordBatch]:
        """Yield what a reader reads; between its batches the connection is still taken."""
        turns = self._lent.turns
        with turns.stream() as streaming:
            with turns.batch(streaming):
                reader = open_reader()
            if (made := result()) is not None:
                made._schema = reader.schema
            del made
            with contextlib.closing(reader):
                while True:
                    with turns.batch(streaming):
                        batch = next(reader, None)
                    if batch is None:
                        break
                    yield batch

    def _share(self, allowed: Allowance) -> contextlib.AbstractContextManager[None]:
        """Keep DuckDB within its part of the statement's memory limit."""
        if allowed.engine_bytes is None:
            return contextlib.nullcontext()
        return process().shares.held(self.con, self._folder, allowed)

    def _rows(self, transfer: Transfer, params: Any, handed_out: rows.Progress) -> rows.NarrowRows:
        """Return the narrow rows of a staged call, in batches of the plan's size."""
        query, batch_rows = transfer.staged.rows, transfer.plan.chosen.batch_rows
        params = left_in(query, params)
        waiting = partial(process().runtime.handing_out_rows, transfer.run)
        if self._visible_elsewhere(query, params):
            return rows.streamed(self.con, query, batch_rows, handed_out, waiting)
        return rows.spooled(self.con, query, params, batch_rows, handed_out, waiting)

    def _visible_elsewhere(self, query: str, params: Any) -> bool:
        """Return whether a query means the same on another connection to this database."""
        if params or "getvariable" in query.lower() or database.in_transaction(self.con):
            return False
        if parse.identifiers(query) & database.private_names(self.con):
            return False
        with self.con.cursor() as cursor:
            place = "SELECT current_database(), current_schemas(false)::VARCHAR"
            if cursor.execute(place).fetchall() != self.con.execute(place).fetchall():
                return False
            try:
                database.describe(cursor, query)
            except duckdb.Error:
                return False
        return True


def _columns(relation: duckdb.DuckDBPyRelation) -> list[tuple[str, str]]:
    """Return the names and types of a relation's columns."""
    return list(zip(relation.columns, map(str, relation.types), strict=True))


def _in_arrow(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return a relation with what Arrow has no type for as text."""
    columns = _columns(relation)
    if all(in_arrow(kind) == kind for _, kind in columns):
        return relation
    return relation.project(
        ", ".join(
            f"CAST(#{place} AS {in_arrow(kind)}) AS {identifier(name)}"
            if in_arrow(kind) != kind
            else f"#{place} AS {identifier(name)}"
            for place, (name, kind) in enumerate(columns, 1)
        )
    )


def left_in(text: str, params: Any) -> Any:
    """Return the parameters that a text still has: DuckDB refuses one that was planned away."""
    names = parse.parameters(text) if params else None
    if names is None:
        return params
    numbered = not isinstance(params, Mapping)
    values = {str(n): value for n, value in enumerate(params, 1)} if numbered else params
    return {name: values[name] for name in names if name in values} or None


@contextlib.contextmanager
def placed(statement: Statement) -> Iterator[None]:
    """Give a name that only a kernel could look up its place in the user's text."""
    try:
        yield
    except UnknownNameError as error:
        if error.place is not None:
            raise
        place = parse.value_place(statement, error.name, error.argument)
        raise error.at(place) from error.__cause__


def _located(error: duckdb.Error, statement: Statement) -> QueryError | None:
    """Return what DuckDB says of a name with its place in the user's text; None: not known."""
    if not statement.calls:
        return None
    said = str(error).partition("\n\nLINE ")[0].partition("\nLINE ")[0]
    named = re.search(r'"([^"]+)"|with name (\S+)', said)
    if named is None:
        return None
    name = named[1] or named[2]
    span = parse.word_span(statement.text, name)
    place = Place(statement.text, *span) if span else parse.value_place(statement, name)
    if place is None:
        return None
    return QueryError(" ".join(said.partition("Error: ")[2].split()), place)
