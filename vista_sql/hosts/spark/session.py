"""A Spark session with vista_sql on it: statements are planned here and run on the executors."""

from __future__ import annotations

import re
import secrets
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from msgspec.structs import replace
from pyspark.errors import AnalysisException
from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import DataFrame, SparkSession, functions
from pyspark.storagelevel import StorageLevel

from vista_sql.errors import Place, QueryError
from vista_sql.hosts import Host, HostKind
from vista_sql.hosts.spark import cluster, failures, made, stages
from vista_sql.hosts.spark.cluster import Cluster
from vista_sql.hosts.spark.database import SparkDatabase, asked, said, unlogged
from vista_sql.hosts.spark.stages import quiet
from vista_sql.hosts.spark.types import duckdb_type
from vista_sql.kernels import InferSpec
from vista_sql.machine.resources import own_version
from vista_sql.planning import explain
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.context import Context, FreshNames
from vista_sql.planning.distribution import Distribution
from vista_sql.planning.executors import Executors
from vista_sql.planning.planner import plan
from vista_sql.planning.plans import Sort
from vista_sql.planning.script import Constant, Fed, Kept, Made, Scored, Script, Transfer
from vista_sql.result import Result
from vista_sql.runs import Estimate, Runs, Seen
from vista_sql.settings import SETTINGS, Persistence, Settings
from vista_sql.sql import parse
from vista_sql.sql.dialect import SPARK
from vista_sql.sql.parse import Statement

HOST = HostKind(
    "spark",
    "a Spark session: planned on the driver, inferred on the executors",
    Capabilities(dialect=SPARK, small_batches=True, calls_in_sql=False),
)

LEVELS: Mapping[Persistence, StorageLevel] = {
    "deserialized": StorageLevel.MEMORY_AND_DISK_DESER,
    "serialized": StorageLevel.MEMORY_AND_DISK,
    "disk": StorageLevel.DISK_ONLY,
}


class Spark(Host[DataFrame]):
    """vista_sql on one Spark session, which is its attribute `spark`."""

    def __init__(self, spark: SparkSession, *, salt: str | None = None) -> None:
        """Serve a session; nothing runs until a statement does.

        Args:
            spark: classic or Connect.
            salt: makes generated names unguessable; given only where they must be predictable.
        """
        self.spark, self._salt = spark, salt or secrets.token_hex(8)
        self._statements = 0

    # ── what users call ─────────────────────────────────────────────────────────────────────────

    def query(self, sql: str, args: Mapping[str, Any] | None = None) -> DataFrame:
        """Plan statements of Spark SQL and return the rows of the last one, as a lazy DataFrame.

        What is counted to plan runs now, and so do statements that write; images are inferred when
        Spark runs the DataFrame, and again each time it does.

        Args:
            sql: one or more statements.
            args: values of the named parameters (`:name`).

        Raises:
            VistaError: a statement cannot be planned; says where and what to do.
            pyspark.errors.PySparkException: Spark refuses a statement.
        """
        statements = parse.parse(sql, SPARK)
        if not statements:
            raise QueryError("there is no statement")
        frames = [self._started(statement, args) for statement in statements]
        return frames[-1]

    def result(self, sql: str, args: Mapping[str, Any] | None = None) -> Result:
        """Return the rows of `query`, collected when they are first asked for."""
        frame = self.query(sql, args)
        columns = [(field.name, duckdb_type(field.dataType)) for field in frame.schema.fields]

        def batches(n_rows: int) -> Iterator[pa.RecordBatch]:
            with quiet():
                table = frame.toArrow()
            yield from table.to_batches(n_rows)

        return Result(columns, batches)

    def seed(self, select: str, table: str) -> None:
        """Make a table of the rows of a SELECT of DuckDB's, which runs in this process.

        Args:
            select: what it reads are files of this machine.
            table: its name, quoted.
        """
        rows = made.constant(self.spark, Constant("seed", select), {})
        rows.write.format("parquet").saveAsTable(table)

    def rewrite(self, sql: str) -> str:
        """Return the staged SQL of a statement: its narrow rows, then the text upon them."""
        return explain.staged_sql(self._planned(sql))

    def explain(self, sql: str) -> str:
        """Return how a statement would run: plans, decisions, staged SQL. Nothing is inferred."""
        return explain.render(self._planned(sql))

    def __repr__(self) -> str:
        return f"<vista_sql.Spark on {self.spark.conf.get('spark.master', 'Spark Connect')}>"

    # ── the host ────────────────────────────────────────────────────────────────────────────────

    @property
    def capabilities(self) -> Capabilities:
        """What the host can do."""
        return HOST.capabilities

    @property
    def database(self) -> SparkDatabase:
        """What planning may ask."""
        return SparkDatabase(self.spark)

    @cached_property
    def cluster(self) -> Cluster:
        """What the session runs on."""
        return cluster.look(self.spark)

    def settings(self) -> Settings:
        """Return the settings: `SET spark.vista.…` over the environment; no store unless named."""
        given = {
            f"vista_{setting.name}": self.spark.conf.get(f"spark.vista.{setting.name}", None)
            for setting in SETTINGS
        }
        settings = Settings({name: value for name, value in given.items() if value is not None})
        if settings.value("store").source == "default":
            settings = replace(settings, variables={**settings.variables, "vista_store": "false"})
        return settings

    def run(self, script: Script, args: Mapping[str, Any] | None = None) -> DataFrame:
        """Return the rows of a script: the stages of its TRANSFERs are relations of its text."""
        return self._run(script, args)[0]

    def _run(self, script: Script, args: Mapping[str, Any] | None) -> tuple[DataFrame, Seen]:
        running = _Running(self.spark, script, args, lambda: self.cluster.executors)
        executors = _executors_of(script)
        if executors is None:
            frame = running.rows(script.text)
        else:
            with failures.told(executors):  # what is fed to a run in this process, or written
                frame = failures.telling(running.rows(script.text), executors)
        for kept, level in running.kept:  # when the text has let go of their names
            weakref.finalize(frame, kept.persist(level).unpersist)
        return frame, running.seen

    # ── planning ────────────────────────────────────────────────────────────────────────────────

    def _planned(self, sql: str) -> Script:
        statements = parse.parse(sql, SPARK)
        if len(statements) != 1:
            raise QueryError(f"only one statement can be planned at a time, not {len(statements)}")
        return self._script(statements[0], None, self.settings())

    def _script(
        self, statement: Statement, args: Mapping[str, Any] | None, settings: Settings
    ) -> Script:
        if not statement.calls:
            return Script(statement.text)
        if statement.kind == "other":
            place = statement.calls[0].call.place()
            raise QueryError(
                "a view cannot hold TRANSFER or VISTA_* on Spark, which does not know them: use "
                "CREATE TABLE … AS, or db.query(…).createOrReplaceTempView('name')",
                place,
            )
        found = self.cluster
        self._statements += 1
        context = Context(
            settings,
            self._home(settings),
            HOST.capabilities,
            FreshNames(f"{self._salt}{self._statements}"),
            engines=found.engines,
            folder=str(Path.cwd()),
            executors=found.executors,
            made_by=self._made_by,
        )
        return plan(statement, SparkDatabase(self.spark, args), context)

    def _made_by(self, spec: InferSpec) -> str:
        """Return what an executor says that raw maps are made by there."""
        return asked(lambda: stages.told(self.spark, "vista_space", spec, own_version()))

    def _home(self, settings: Settings) -> str:
        home = settings.value("home").value
        return str(Path(home).expanduser().absolute() if home else Path("vista_home").absolute())

    # ── running ─────────────────────────────────────────────────────────────────────────────────

    def _started(self, statement: Statement, args: Mapping[str, Any] | None) -> DataFrame:
        setting = _SET.fullmatch(statement.text)
        if setting is not None:
            return self._set(setting[1].lower(), setting[2])
        # once, for each is asked of Spark; where nothing is planned, none is
        settings = self.settings() if statement.calls else Settings()
        journal = Runs(self._home(settings))
        run = journal.open(statement.text)
        script = self._script(statement, args, settings)
        try:
            with unlogged():
                frame, seen = self._run(script, args)
            if any(isinstance(part, Fed) for part in script.made):
                _record(journal, run, script, seen)
            return frame
        except AnalysisException as error:
            if statement.calls or error.getCondition() == NO_FUNCTION:
                raise _located(error, statement) from error
            raise

    def _set(self, name: str, value: str) -> DataFrame:
        """Keep what `SET VARIABLE vista_<name> = <value>` says, as on the other hosts."""
        given = asked(lambda: self.spark.sql(f"SELECT {value}").collect()[0][0])
        if given is None:
            self.spark.conf.unset(f"spark.vista.{name}")
        else:
            self.spark.conf.set(f"spark.vista.{name}", str(given))
        return self.spark.sql(f"SET spark.vista.{name}")


def _record(journal: Runs, run: str, script: Script, seen: Seen) -> None:
    """Write the record of a statement that was run when it was called."""
    plans = [transfer.plan for transfer in script.transfers]
    inferred = seen.images - seen.errors if plans else 0
    if any(isinstance(stage, Sort) for plan in plans for stage in plan.chosen.stages):
        inferred = min(inferred, script.images_inferred)  # equal images pass the network once
    estimate = Estimate(explained=explain.render(script) if plans else "")
    journal.close_seen(run, ", ".join(plan.name for plan in plans), seen, inferred, estimate)


NO_FUNCTION = "UNRESOLVABLE_TABLE_VALUED_FUNCTION"
"""Spark's word for what it says of TRANSFER in a statement that was not planned."""


def _located(error: AnalysisException, statement: Statement) -> QueryError:
    """Return what Spark says of a statement, with the place of the name that it does not know."""
    if error.getCondition() == NO_FUNCTION and statement.tree is None:
        try:
            why = parse.clean_relation(statement.text, SPARK)
        except QueryError as unread:
            why = unread.message.rpartition(": ")[2]
        return QueryError(
            "TRANSFER and VISTA_* cannot be planned, for sqlglot does not read the statement: "
            f"{why}"
        )
    name = (error.getMessageParameters() or {}).get("objectName", "").rpartition(".")[2].strip("`")
    span = parse.word_span(statement.text, name, SPARK) if name else None
    place = Place(statement.text, *span) if span else None
    return QueryError(said(error), place)


_SET = re.compile(r"\s*SET\s+VAR(?:IABLE)?\s+vista_(\w+)\s*=\s*(.+?)\s*", re.IGNORECASE | re.DOTALL)


class _Running:
    """A script on a session: what Spark's SQL does not make is made when a text names it."""

    def __init__(
        self,
        spark: SparkSession,
        script: Script,
        args: Mapping[str, Any] | None,
        executors: Callable[[], Executors],
    ) -> None:
        self._executors = executors
        self._spark, self._args = spark, dict(args) if args else None
        self._parts: dict[str, Made] = {}
        waiting: list[Made] = [*script.transfers, *script.made]
        while waiting:
            part = waiting.pop()
            waiting += part.made if isinstance(part, Transfer) else ()
            if not isinstance(part, Transfer) or part.is_apart:
                self._parts[part.name] = part
        self._frames: dict[str, DataFrame] = {}
        self.kept: list[tuple[DataFrame, StorageLevel]] = []  # that are to be persisted
        self.seen = Seen()  # of rows that were fed to a run

    def rows(self, text: str) -> DataFrame:
        """Return a query's rows; relations that were made are handed on, not named anywhere."""
        used = {name: self._frame(name) for name in self._parts if name in text}
        if not used:
            return self._spark.sql(text, self._args)
        text = text.replace("{", "{{").replace("}", "}}")
        for name in used:
            text = re.sub(rf"(?<!\w){name} AS {name}(?!\w)", f"{{{name}}} AS {name}", text)
        return self._spark.sql(text, self._args, **used)

    def _frame(self, name: str) -> DataFrame:
        if name not in self._frames:
            self._frames[name] = self._made(self._parts[name])
        return self._frames[name]

    def _made(self, part: Made) -> DataFrame:
        match part:
            case Transfer():
                return self._staged(part)
            case Constant():
                given = {name: self._all_of(relation) for name, relation in part.given}
                return made.constant(self._spark, part, given)
            case Fed():
                executors = self._executors()
                slots = executors.number * executors.configured
                return made.fed(self._spark, part, self._all_of(part.relation), slots, self.seen)
            case Kept():
                images = self.rows(part.transfer.staged.rows)
                return made.kept(self._spark, part, images, self._staged(part.transfer))
            case Scored():
                return made.scored(part, self._all_of(part.relation), own_version())

    def _all_of(self, relation: str) -> DataFrame:
        return self.rows(f"SELECT * FROM {relation} AS rows")

    def _staged(self, transfer: Transfer) -> DataFrame:
        """Return the narrow rows of a TRANSFER with what its kernels make of them."""
        staged, distribution = transfer.staged, transfer.plan.distribution
        assert distribution is not None  # noqa: S101 - the context has executors
        image = f"{staged.rows_name.removesuffix('rows')}image"
        rows = _partitioned(self.rows(staged.rows), transfer, distribution, image)
        frame = stages.staged(
            rows,
            staged.kernel_calls,
            image,
            transfer.plan.chosen.batch_rows,
            own_version(),
            _profile(distribution),
        )
        level = LEVELS.get(distribution.persistence)
        if level is not None:
            self.kept.append((frame, level))
        return frame


def _partitioned(
    rows: DataFrame, transfer: Transfer, distribution: Distribution, image: str
) -> DataFrame:
    """Return the narrow rows in the plan's partitions; equal images side by side, where it says."""
    n = distribution.partitions
    is_sorted = any(isinstance(stage, Sort) for stage in transfer.plan.chosen.stages)
    if is_sorted or transfer.workload.region is not None:
        digest = functions.xxhash64(functions.col(image))
        rows = rows.repartition(digest) if n is None else rows.repartition(n, digest)
        return rows.sortWithinPartitions(digest)
    return rows if n is None else rows.repartition(n)


def _executors_of(script: Script) -> Executors | None:
    """Return the executors that a script infers on; None: it does not."""
    for transfer in script.transfers:
        if transfer.plan.distribution is not None:
            return transfer.plan.distribution.executors
    return None


def _profile(distribution: Distribution) -> Any:
    """Return the profile by which a stage's tasks take their cores; None: the session's will do."""
    if not distribution.needs_profile:
        return None
    return (
        ResourceProfileBuilder().require(TaskResourceRequests().cpus(distribution.task_cores)).build
    )


def spark(session: SparkSession) -> Spark:
    """Return vista_sql on a Spark session: `query` plans TRANSFER and VISTA_* in Spark SQL.

    Args:
        session: classic, Connect or Databricks Connect; its executors need this package too.
    """
    return Spark(session)
