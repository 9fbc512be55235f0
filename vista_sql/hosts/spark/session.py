"""A Spark session with vista_sql on it: statements are planned here and run on the executors."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import DataFrame, SparkSession, functions
from pyspark.storagelevel import StorageLevel

from vista_sql.errors import QueryError
from vista_sql.hosts import Host, HostKind
from vista_sql.hosts.spark import cluster, stages
from vista_sql.hosts.spark.cluster import Cluster
from vista_sql.hosts.spark.database import SparkDatabase, asked
from vista_sql.machine.resources import own_version
from vista_sql.planning import explain
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.context import Context, FreshNames
from vista_sql.planning.distribution import Distribution
from vista_sql.planning.planner import plan
from vista_sql.planning.plans import Sort
from vista_sql.planning.script import Script, Transfer
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
        made: dict[str, DataFrame] = {}
        for transfer in script.apart:
            made[transfer.staged.rows_name] = self._staged(transfer, made, args)
        return self._sql(script.text, made, args)

    # ── planning ────────────────────────────────────────────────────────────────────────────────

    def _planned(self, sql: str) -> Script:
        statements = parse.parse(sql, SPARK)
        if len(statements) != 1:
            raise QueryError(f"only one statement can be planned at a time, not {len(statements)}")
        return self._script(statements[0], None)

    def _script(self, statement: Statement, args: Mapping[str, Any] | None) -> Script:
        if not statement.calls:
            return Script(statement.text)
        if statement.kind == "other":
            place = statement.calls[0].call.place()
            raise QueryError(
                "a view cannot hold TRANSFER or VISTA_* on Spark, which does not know them: use "
                "CREATE TABLE … AS, or db.query(…).createOrReplaceTempView('name')",
                place,
            )
        settings, found = self.settings(), self.cluster
        self._statements += 1
        context = Context(
            settings,
            self._home(settings),
            HOST.capabilities,
            FreshNames(f"{self._salt}{self._statements}"),
            engines=found.engines,
            folder=str(Path.cwd()),
            executors=found.executors,
        )
        return plan(statement, SparkDatabase(self.spark, args), context)

    def _home(self, settings: Settings) -> str:
        home = settings.value("home").value
        return str(Path(home).expanduser().absolute() if home else Path("vista_home").absolute())

    # ── running ─────────────────────────────────────────────────────────────────────────────────

    def _started(self, statement: Statement, args: Mapping[str, Any] | None) -> DataFrame:
        setting = _SET.fullmatch(statement.text)
        if setting is not None:
            return self._set(setting[1].lower(), setting[2])
        return self.run(self._script(statement, args), args)

    def _set(self, name: str, value: str) -> DataFrame:
        """Keep what `SET VARIABLE vista_<name> = <value>` says, as on the other hosts."""
        given = asked(lambda: self.spark.sql(f"SELECT {value}").collect()[0][0])
        if given is None:
            self.spark.conf.unset(f"spark.vista.{name}")
        else:
            self.spark.conf.set(f"spark.vista.{name}", str(given))
        return self.spark.sql(f"SET spark.vista.{name}")

    def _staged(
        self, transfer: Transfer, made: Mapping[str, DataFrame], args: Mapping[str, Any] | None
    ) -> DataFrame:
        """Return the narrow rows of a TRANSFER with what its kernels make of them."""
        staged, distribution = transfer.staged, transfer.plan.distribution
        assert distribution is not None  # noqa: S101 - the context has executors
        image = f"{staged.rows_name.removesuffix('rows')}image"
        rows = self._sql(staged.rows, made, args)
        rows = _partitioned(rows, transfer, distribution, image)
        frame = stages.staged(
            rows,
            staged.kernel_calls,
            image,
            transfer.plan.chosen.batch_rows,
            own_version(),
            _profile(distribution),
        )
        level = LEVELS.get(distribution.persistence)
        return frame if level is None else frame.persist(level)

    def _sql(
        self, text: str, made: Mapping[str, DataFrame], args: Mapping[str, Any] | None
    ) -> DataFrame:
        """Return a query's rows; relations that were made are handed on, not named anywhere."""
        given = dict(args) if args else None
        used = {name: frame for name, frame in made.items() if name in text}
        if not used:
            return self.spark.sql(text, given)
        text = text.replace("{", "{{").replace("}", "}}")
        for name in used:
            text = re.sub(rf"(?<!\w){name} AS {name}(?!\w)", f"{{{name}}} AS {name}", text)
        return self.spark.sql(text, given, **used)


_SET = re.compile(r"\s*SET\s+VAR(?:IABLE)?\s+vista_(\w+)\s*=\s*(.+?)\s*", re.IGNORECASE | re.DOTALL)


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
