"""Kernel calls as data → a DataFrame: one `mapInArrow` for each pass of a network or a pooling."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    FloatType,
    StringType,
    StructType,
)

from vista_sql.hosts.spark.worker import CallOrder, StageOrder
from vista_sql.kernels import InferSpec
from vista_sql.planning.calls import KernelCall
from vista_sql.planning.data_calls import columns_of, is_text

NOT_INSTALLED = (
    "a Python worker of Spark cannot import {module!r}: install vista-sql {version} for the Python "
    "of every executor ({python} on this one), and let PYSPARK_PYTHON name that Python"
)


def staged(
    rows: DataFrame,
    calls: Sequence[KernelCall],
    image: str,
    batch_rows: int,
    version: str,
    profile: Any = None,
) -> DataFrame:
    """Return narrow rows with a column more for each call.

    Args:
        rows: the narrow rows.
        calls: in their order; each may read what those before it added.
        image: the column of the images, which goes when no call needs it any more.
        batch_rows: most rows in one call.
        version: of this package, which the executors need.
        profile: of the stages' resources; None: the session's.
    """
    inner = {image, *(call.base for call in calls)}
    for place, call in enumerate(calls):
        later = {name for after in calls[place + 1 :] for name in _read(after)}
        names = [name for name in rows.columns if name not in inner or name in later]
        shape = StructType([rows.schema[name] for name in names])
        for column in columns_of(call):
            shape = shape.add(column, _type(call, column))
        if call.makes_maps:
            inner |= {name for name in columns_of(call) if not is_text(name)}
        order = StageOrder((_order(call),), tuple(shape.fieldNames()), batch_rows)
        function = sent(order, "apply", _name(call), version)
        with quiet():
            rows = rows.mapInArrow(function, shape, profile=profile)
    return rows


def _read(call: KernelCall) -> set[str]:
    """Return the columns that a call reads."""
    return {call.base, *(value.column for value in call.inputs)}


def _order(call: KernelCall) -> CallOrder:
    inputs = tuple((value.column, value.is_text) for value in call.inputs)
    spec = call.spec.to_text()
    return CallOrder(columns_of(call), call.fields, call.kernel, spec, inputs, call.base)


def told(spark: SparkSession, kernel: str, spec: InferSpec, version: str) -> str:
    """Return what a kernel says of an order, that takes nothing else, on an executor."""
    order = StageOrder((CallOrder(("told",), (), kernel, spec.to_text(), ()),), ("told",), 1)
    with quiet():
        one = (
            spark.range(1)
            .coalesce(1)
            .mapInArrow(sent(order, "apply", kernel, version), "told string")
        )
    return str(one.collect()[0][0])


def sent(
    order: object, action: str, name: str, version: str, module: str = "worker"
) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Return what the executors run; it travels by value, and says what they lack.

    Args:
        order: what to do.
        action: the function that does it.
        name: as Spark's plan shows it.
        version: of this package.
        module: of this folder, that has the function.
    """
    packed, sentence = pickle.dumps(order), NOT_INSTALLED
    path = f"{__package__}.{module}"

    def run(batches: Iterable[Any]) -> Iterator[Any]:
        import importlib
        import pickle
        import sys

        try:
            found = importlib.import_module(path)
        except ModuleNotFoundError as error:
            said = sentence.format(module=error.name, version=version, python=sys.executable)
            raise RuntimeError(said) from None
        yield from getattr(found, action)(pickle.loads(packed), batches)

    run.__name__ = run.__qualname__ = name
    return run


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Spark from saying that it has not met the newest pandas, which is not used here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        yield


def _name(call: KernelCall) -> str:
    """Return how Spark's plan shows a stage: `infer_conv5_3_avg_pool`, `resume_fc6`, `pool_fc6`."""
    verb = "resume" if call.base else call.kernel.removeprefix("vista_").rstrip("0123456789_")
    words = "_".join([verb, *call.spec.layers])
    return "".join(letter if letter.isalnum() else "_" for letter in words)


def _type(call: KernelCall, column: str) -> DataType:
    if is_text(column):
        return StringType()
    return BinaryType() if call.makes_maps else ArrayType(FloatType())
