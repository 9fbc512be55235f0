"""Spark's types by DuckDB's names, which planning reads, and Arrow's as Spark takes them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa
from pyarrow import compute
from pyspark.sql import types

_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "boolean": "BOOLEAN",
        "tinyint": "TINYINT",
        "smallint": "SMALLINT",
        "int": "INTEGER",
        "bigint": "BIGINT",
        "float": "FLOAT",
        "double": "DOUBLE",
        "string": "VARCHAR",
        "binary": "BLOB",
        "date": "DATE",
        "timestamp": "TIMESTAMP WITH TIME ZONE",
        "timestamp_ntz": "TIMESTAMP",
        "void": '"NULL"',
    }
)


def duckdb_type(kind: types.DataType) -> str:
    """Return DuckDB's name of a Spark type; of one that it has not, Spark's own.

    Example:
        >>> duckdb_type(types.ArrayType(types.FloatType()))
        'FLOAT[]'
        >>> duckdb_type(types.StructType().add("bytes", "binary").add("path", "string"))
        'STRUCT("bytes" BLOB, "path" VARCHAR)'
    """
    match kind:
        case types.ArrayType():
            return f"{duckdb_type(kind.elementType)}[]"
        case types.MapType():
            return f"MAP({duckdb_type(kind.keyType)}, {duckdb_type(kind.valueType)})"
        case types.StructType():
            fields = (f'"{field.name}" {duckdb_type(field.dataType)}' for field in kind.fields)
            return f"STRUCT({', '.join(fields)})"
        case types.DecimalType():
            return f"DECIMAL({kind.precision},{kind.scale})"
        case types.CharType() | types.VarcharType():
            return "VARCHAR"
    name = kind.simpleString()
    return _NAMES.get(name.partition(" ")[0], name.upper())  # `string collate …` is text, too


def as_spark_takes(column: pa.Array) -> pa.Array:
    """Return a column with 32-bit offsets, which Spark expects unless it is told otherwise."""
    kind = spark_arrow_type(column.type)
    return column if kind == column.type else compute.cast(column, kind)


def spark_arrow_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of Arrow that Spark has for a column of a type."""
    if pa.types.is_large_list(kind) or pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(spark_arrow_type(kind.value_type))
    if pa.types.is_large_string(kind) or kind == pa.string_view():
        return pa.string()
    if pa.types.is_large_binary(kind) or kind == pa.binary_view():
        return pa.binary()
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, spark_arrow_type(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(spark_arrow_type(kind.key_type), spark_arrow_type(kind.item_type))
    return kind
