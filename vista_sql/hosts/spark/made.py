"""Relations that Spark's SQL does not make: constants, what a run returns, what a model says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import duckdb
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, functions
from pyspark.sql.types import DoubleType, MapType, StringType, StructField, StructType

from vista_sql import models
from vista_sql.hosts.duckdb.connection import Connection
from vista_sql.hosts.duckdb.process import process
from vista_sql.hosts.spark import passes, training
from vista_sql.hosts.spark.stages import quiet, sent
from vista_sql.hosts.spark.types import spark_arrow_type
from vista_sql.hosts.spark.worker import ScoreOrder, kernels
from vista_sql.machine.resources import own_version
from vista_sql.planning import base_rows
from vista_sql.planning.script import Constant, Fed, Kept, Scored
from vista_sql.runs import Seen

FED_ROWS = 256
"""Rows of one batch that is fed."""


def constant(spark: SparkSession, made: Constant, given: Mapping[str, DataFrame]) -> DataFrame:
    """Return the rows of a SELECT of DuckDB's, which runs in this process.

    Args:
        spark: the session.
        made: the SELECT.
        given: what it reads, computed on the executors and collected here.
    """
    with duckdb.connect() as con:
        if given:
            Connection(con)  # the kernels
        for name, rows in given.items():
            with quiet():
                con.register(name, rows.toArrow())
        return _frame(spark, con.sql(made.text).to_arrow_table())


def fed(spark: SparkSession, made: Fed, rows: DataFrame, slots: int, seen: Seen) -> DataFrame:
    """Return what a run returns of rows, which is fed them here, a batch at a time.

    A training leaves them where they are, unless they are few.

    Args:
        spark: the session.
        made: the run's kind and order.
        rows: computed on the executors; a partition at a time is here.
        slots: the tasks that run at once on the cluster.
        seen: is added what the rows say of their images.
    """
    told_rows = training.trained(made.order, rows, slots, own_version(), seen)
    if told_rows is None:
        told_rows = _fed_here(made, rows, seen)
    with duckdb.connect() as con:
        con.register("fed", told_rows)
        return _frame(spark, con.sql(f"SELECT {made.columns} FROM fed").to_arrow_table())


def _fed_here(made: Fed, rows: DataFrame, seen: Seen) -> pa.Table:
    runtime, every = process().runtime, kernels()
    begun = every["vista_begin"].function(runtime, pa.array([made.order]))
    run = begun[0].as_py()
    try:
        n_rows = 0
        for batch in _batches(rows):
            run_of = pa.repeat(run, len(batch))
            every["vista_feed"].function(runtime, run_of, batch.to_struct_array())
            seen.add(passes.seen_in(batch))
            n_rows += len(batch)
        told = pa.array([n_rows or None], pa.int64())
        results = every[f"vista_finish_{made.kind}"].function(runtime, begun, told)
    except BaseException:
        runtime.end(json.loads(made.order)[made.kind].get("run", ""))
        raise
    return pa.Table.from_struct_array(results.flatten())


def _batches(rows: DataFrame) -> Iterator[pa.RecordBatch]:
    """Yield a DataFrame's rows in batches, a partition at a time, in the partitions' order."""

    def packed(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        for batch in batches:
            for start in range(0, len(batch), FED_ROWS):
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, batch.schema) as writer:
                    writer.write_batch(batch.slice(start, FED_ROWS))
                message = pa.array([sink.getvalue().to_pybytes()])
                yield pa.RecordBatch.from_arrays([message], ["batch"])

    with quiet():
        messages = rows.mapInArrow(packed, "batch binary")
    for (message,) in messages.toLocalIterator(prefetchPartitions=True):
        with pa.ipc.open_stream(pa.py_buffer(message)) as stream:
            yield from stream


def scored(made: Scored, rows: DataFrame, version: str) -> DataFrame:
    """Return rows with what a kept model says of each; `error` is the rows' own, or the model's.

    Args:
        made: the model, which travels with the stage.
        rows: what it scores.
        version: of this package, which the executors need.
    """
    kept = [field for field in rows.schema.fields if field.name.lower() != "error"]
    added = (
        StructField("predicted_label", StringType()),
        StructField("probability", DoubleType()),
        StructField("probabilities", MapType(StringType(), DoubleType())),
        StructField("error", StringType()),
    )
    wanted = json.loads(made.order)
    model = models.find(wanted["home"], wanted["model"])
    files = (models.DOCUMENT, model.row.get("file", models.DOCUMENT))
    order = ScoreOrder(
        model.name,
        model.version,
        model.reference,
        tuple((name, (model.folder / name).read_bytes()) for name in dict.fromkeys(files)),
        tuple(field.name for field in kept),
        tuple(field.name for field in added),
    )
    with quiet():
        frame = rows.mapInArrow(sent(order, "score", "score", version), StructType([*kept, *added]))
    kind = LABEL_TYPES.get(made.label_type)
    if kind is None:
        return frame
    return frame.withColumn("predicted_label", functions.col("predicted_label").cast(kind))


def kept(spark: SparkSession, made: Kept, images: DataFrame, maps: DataFrame) -> DataFrame:
    """Write a table of raw maps and return what came of it: images, bytes, seconds, errors.

    Args:
        spark: the session.
        made: the table.
        images: a row each distinct image: its digest, the image, and how many rows show it.
        maps: the same, with its map or NULL in place of the image.
    """
    began = time.perf_counter()
    digest, n_rows, raw_map, _ = map(functions.col, maps.columns)
    rows = maps.where(raw_map.isNotNull()).select(
        digest.alias(base_rows.DIGEST),
        raw_map.alias(base_rows.MAP),
        n_rows.alias(base_rows.ROWS),
        functions.lit(made.made_by).alias(base_rows.MADE_BY),
    )
    try:
        rows.write.format("parquet").saveAsTable(made.table)
    except BaseException:
        spark.sql(f"DROP TABLE IF EXISTS {made.table}")
        raise
    seconds = time.perf_counter() - began
    written, *read = _sums(spark.table(made.table), functions.count("*"), base_rows.ROWS)
    (seen,) = _sums(images, maps.columns[1])
    told = {
        "images": written,
        "bytes": written * made.map_bytes,
        "seconds": seconds,
        "errors": seen - sum(read),
    }
    return _frame(spark, pa.Table.from_pylist([told]))


def _sums(frame: DataFrame, *wanted: Any) -> list[int]:
    """Return sums of columns, or other aggregates; 0 of no rows."""
    sums = [functions.sum(one) if isinstance(one, str) else one for one in wanted]
    return [int(value or 0) for value in frame.agg(*sums).collect()[0]]


LABEL_TYPES = {
    "BOOLEAN": "boolean",
    "TINYINT": "tinyint",
    "SMALLINT": "smallint",
    "INTEGER": "int",
    "BIGINT": "bigint",
    "HUGEINT": "decimal(38,0)",
    "FLOAT": "float",
    "DOUBLE": "double",
    "DATE": "date",
}
"""Spark's names of labels that are no text, by DuckDB's."""


def _frame(spark: SparkSession, table: pa.Table) -> DataFrame:
    plain = table.cast(pa.schema([(f.name, spark_arrow_type(f.type)) for f in table.schema]))
    if not len(plain):  # Spark takes the types from rows
        nulls = pa.table([pa.nulls(1, f.type) for f in plain.schema], schema=plain.schema)
        return _frame(spark, nulls).limit(0)
    with quiet():
        return spark.createDataFrame(plain)
