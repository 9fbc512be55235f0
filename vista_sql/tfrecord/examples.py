"""`tf.train.Example` as columns: which a file has, and the values of each record.

The messages are described here, since the classes that TensorFlow brings import TensorFlow.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from vista_sql.errors import TFRecordError
from vista_sql.tfrecord.records import Record

Kind = Literal["ints", "floats", "bytes", "texts"]
"""The kind of a feature's values; bytes that are text are a kind of their own."""

Example: TypeAlias = Any  # a message class made at run time

FIELDS: Mapping[Kind, str] = {
    "ints": "int64_list",
    "floats": "float_list",
    "bytes": "bytes_list",
    "texts": "bytes_list",
}
"""The field of a Feature that holds each kind."""

_TYPES: Mapping[Kind, tuple[str, ...]] = {
    "ints": ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "BOOLEAN"),
    "floats": ("FLOAT", "DOUBLE"),
    "bytes": ("BLOB",),
    "texts": ("VARCHAR",),
}
TYPES = tuple(name for names in _TYPES.values() for name in names)
"""What a column may be declared as, alone or with `[]` or `[n]` after it."""

SAMPLE_RECORDS = 100
SAMPLE_BYTES = 16 << 20


class Column(Struct, frozen=True):
    """A feature as a column of a DuckDB type: a scalar, a list or an array."""

    name: str
    type: str

    @property
    def is_scalar(self) -> bool:
        """Whether each example has one value."""
        return not self.type.endswith("]")

    @property
    def kind(self) -> Kind:
        """Which of a Feature's lists holds the values."""
        base = self.type.partition("[")[0]
        return next(kind for kind, names in _TYPES.items() if base in names)


def declared(name: str, type_: str) -> Column | None:
    """Return the column that a user declares; None where a feature cannot have the type."""
    match = re.fullmatch(r"\s*(\w+)\s*(\[\d*\])?\s*", type_)
    if match is None or match[1].upper() not in TYPES:
        return None
    return Column(name, match[1].upper() + (match[2] or ""))


_PROTO = """
name: "vista_sql/example.proto"
package: "vista_sql.tfrecord"
syntax: "proto3"
message_type { name: "BytesList"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_BYTES } }
message_type { name: "FloatList"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_FLOAT } }
message_type { name: "Int64List"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_INT64 } }
message_type { name: "Feature"
  oneof_decl { name: "kind" }
  field { name: "bytes_list" number: 1 type_name: "BytesList" oneof_index: 0 }
  field { name: "float_list" number: 2 type_name: "FloatList" oneof_index: 0 }
  field { name: "int64_list" number: 3 type_name: "Int64List" oneof_index: 0 } }
message_type { name: "Features"
  field { name: "feature" number: 1 label: LABEL_REPEATED type_name: "FeatureEntry" }
  nested_type { name: "FeatureEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING }
    field { name: "value" number: 2 type_name: "Feature" } } }
message_type { name: "Example"
  field { name: "features" number: 1 type_name: "Features" } }
"""
"""tensorflow/core/example/{feature,example}.proto, as protobuf describes a file of messages."""


@cache
def example_class() -> Any:
    """Return the class of tf.train.Example."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_PROTO, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("vista_sql.tfrecord.Example"))


def parse(record: Record, name: str) -> Example:
    """Return a record's Example.

    Raises:
        TFRecordError: it holds something else.
    """
    from google.protobuf.message import DecodeError

    try:
        return example_class().FromString(record.data)
    except DecodeError:
        raise TFRecordError(
            name, "it is not a tf.train.Example, the only message that can be read",
            record.number, record.offset,
        ) from None  # fmt: skip


def infer(records: Iterable[Record], name: str) -> tuple[Column, ...]:
    """Return the columns of sampled records, sorted by name.

    A feature is a scalar where every example that has it has one value, else a list; int64 is
    BIGINT, float FLOAT, bytes VARCHAR where all of them are text without control characters, else
    BLOB.

    Raises:
        TFRecordError: a record is broken, or a feature is of two kinds.
    """
    fields: dict[str, str] = {}
    lists: set[str] = set()
    binary: set[str] = set()
    for record in records:
        for feature, value in parse(record, name).features.feature.items():
            field = value.WhichOneof("kind")
            if field is None:
                continue  # a feature without values, as if it were absent
            if fields.setdefault(feature, field) != field:
                raise TFRecordError(
                    name, f"feature {feature!r} is a {field}, and a {fields[feature]} before; give "
                    "columns => {…} without it", record.number, record.offset,
                )  # fmt: skip
            values = getattr(value, field).value
            if len(values) != 1:
                lists.add(feature)
            if field == "bytes_list" and not all(map(_is_text, values)):
                binary.add(feature)
    columns = []
    for feature, field in sorted(fields.items()):
        kind: Kind = next(kind for kind, of in FIELDS.items() if of == field)
        if field == "bytes_list" and feature not in binary:
            kind = "texts"
        columns.append(Column(feature, _TYPES[kind][0] + ("[]" if feature in lists else "")))
    return tuple(columns)


def _is_text(value: bytes) -> bool:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return False
    return not any(unicodedata.category(c) == "Cc" and c not in "\t\r\n" for c in text)


def sample(records: Iterable[Record]) -> Iterable[Record]:
    """Yield the first records: SAMPLE_RECORDS, or fewer where these are SAMPLE_BYTES."""
    n_bytes = 0
    for count, record in enumerate(records, 1):
        yield record
        n_bytes += len(record.data)
        if count >= SAMPLE_RECORDS or n_bytes >= SAMPLE_BYTES:
            return


def values(
    record: Record, name: str, columns: Sequence[Column], *, others_allowed: bool
) -> dict[Kind, list[list[Any] | None]]:
    """Return a record's values by kind: for each column of that kind a list, None where absent.

    Args:
        record: the record.
        name: its file.
        columns: which features, in the order of the result.
        others_allowed: whether it may have features that are no columns.

    Raises:
        TFRecordError: it does not fit the columns; names it.
    """

    def misfit(reason: str) -> TFRecordError:
        return TFRecordError(name, reason, record.number, record.offset)

    features = parse(record, name).features.feature
    by_kind: dict[Kind, list[list[Any] | None]] = {kind: [] for kind in FIELDS}
    n_used = 0
    for column in columns:
        value = features.get(column.name)
        if value is not None:
            n_used += 1
        field = value.WhichOneof("kind") if value is not None else None
        if field is None:
            by_kind[column.kind].append(None)
            continue
        if field != FIELDS[column.kind]:
            raise misfit(
                f"feature {column.name!r} is a {field}, not {column.type}; give its type in "
                "columns => {…}"
            )
        listed = list(getattr(value, field).value)
        if column.is_scalar and len(listed) > 1:
            raise misfit(
                f"feature {column.name!r} has {len(listed)} values, not one; give "
                f"columns => {{'{column.name}': '{column.type}[]', …}}"
            )
        if column.kind == "texts":
            try:
                listed = [item.decode() for item in listed]
            except UnicodeDecodeError:
                blob = column.type.replace("VARCHAR", "BLOB")
                raise misfit(
                    f"feature {column.name!r} is no UTF-8 text; give "
                    f"columns => {{'{column.name}': '{blob}', …}}"
                ) from None
        by_kind[column.kind].append(listed)
    if not others_allowed and n_used < len(features):  # seldom: looking costs
        known = {column.name for column in columns}
        other = next(
            (
                feature
                for feature in sorted(features)
                if feature not in known and features[feature].WhichOneof("kind") is not None
            ),
            None,
        )
        if other is not None:
            raise misfit(
                f"it has a feature {other!r}, which none of the first records has; give "
                "columns => {…} with those that you want"
            )
    return by_kind
