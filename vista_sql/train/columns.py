"""Column types and a TrainSpec → which columns are label, key, structured features and layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
from msgspec import Struct

from vista_sql import train
from vista_sql.errors import ArgumentError, ModelError, UnknownNameError
from vista_sql.train.spec import TrainSpec

ERROR = "error"  # TRANSFER's column of reasons; never a feature

SQL_TYPES = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint8(): "UTINYINT",
    pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER",
    pa.uint64(): "UBIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.date32(): "DATE",
    pa.string(): "VARCHAR",
    pa.large_string(): "VARCHAR",
}


class Columns(Struct, frozen=True):
    """What each column of the data is for, by its name as the data has it."""

    label: str
    label_type: str
    key: str | None
    split_by: tuple[str, ...]
    structured: tuple[str, ...]
    layers: tuple[str, ...]
    texts: tuple[str, ...] = ()  # those of `structured` that are one-hot

    @property
    def numbers(self) -> tuple[str, ...]:
        """Those of `structured` that are no text."""
        return tuple(name for name in self.structured if name not in self.texts)


def sql_type(kind: pa.DataType) -> str | None:
    """Return the DuckDB type of a label column, None where it cannot be a label."""
    if pa.types.is_dictionary(kind):
        return "VARCHAR"
    if pa.types.is_decimal(kind):
        if (kind.precision, kind.scale) == (38, 0):
            return "HUGEINT"  # comes as this decimal
        return f"DECIMAL({kind.precision},{kind.scale})"
    return SQL_TYPES.get(kind)


def is_layer(kind: pa.DataType) -> bool:
    """Return whether a column of this type is a layer: a list or array of FLOAT or DOUBLE."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_list(kind) for is_list in lists):
        return False
    return bool(pa.types.is_float32(kind.value_type) or pa.types.is_float64(kind.value_type))


def is_structured(kind: pa.DataType) -> bool:
    """Return whether a column of this type is a number or BOOLEAN."""
    return bool(
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type is text: VARCHAR or ENUM."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def is_reason(name: str, types: Mapping[str, pa.DataType]) -> bool:
    """Return whether a column is TRANSFER's `error`, or with the prefix of its layers' columns.

    >>> types = {"cnn_fc6": pa.list_(pa.float32()), "cnn_error": pa.string()}
    >>> is_reason("cnn_error", types), is_reason("my_error", {**types, "my_error": pa.string()})
    (True, False)
    """
    prefix = name[: -len(ERROR)].lower()
    if name.lower() == ERROR:
        return True
    return (
        name.lower() == prefix + ERROR
        and types[name] in (pa.string(), pa.large_string())
        and any(is_layer(kind) and c.lower().startswith(prefix) for c, kind in types.items())
    )


def resolve(name: str, known: Iterable[str], argument: str, where: str) -> str:
    """Return the column that is called `name`, any case.

    Args:
        name: the name.
        known: the columns there are.
        argument: of the SQL function, that names the column.
        where: what has these columns, in a user's words.

    Raises:
        UnknownNameError: there is none; the nearest names are offered.
    """
    known = tuple(known)
    if name in known:
        return name
    column = next((column for column in known if column.lower() == name.lower()), None)
    if column is None:
        kind = f"{argument} column"
        raise UnknownNameError(kind, name, known, where=where, argument=argument)
    return column


def excluding(names: Iterable[str]) -> str:
    """Return the argument of VISTA_TRAIN that leaves columns out.

    >>> print(excluding(["a", "it's"]))
    exclude => ['a', 'it''s']
    """
    quoted = ("'" + name.replace("'", "''") + "'" for name in names)
    return f"exclude => [{', '.join(quoted)}]"


def choose(types: Mapping[str, pa.DataType], spec: TrainSpec) -> Columns:
    """Return what each column of the data is for.

    Args:
        types: of all columns, by name.
        spec: what the call names, in any case.

    Raises:
        UnknownNameError: a named column is not in the data.
        ModelError: a column is neither a feature nor left out, or there is no feature at all.
    """
    where = "the data to train on"

    def named(name: str, argument: str) -> str:
        return resolve(name, types, argument, where)

    label = named(spec.label, "label")
    label_type = sql_type(types[label])
    if label_type is None:
        raise ModelError(
            f"label column {label!r} has type {types[label]}: a label is BOOLEAN, a number, "
            "text, DATE or ENUM; cast it in the data"
        )
    kind = types[label]
    if train.load(spec.trainer).learns == "numbers":
        if not is_structured(kind) or pa.types.is_boolean(kind):
            raise ModelError(
                f"label column {label!r} has type {_shown(kind)}, and trainer => "
                f"{spec.trainer!r} learns a number: cast it in the data, or leave trainer out"
            )
        label_type = "DOUBLE"
    if spec.key is not None:
        key: str | None = named(spec.key, "key")
    else:
        by_lower = {column.lower(): column for column in types}
        there = [by_lower[k.lower()] for k in spec.default_keys if k.lower() in by_lower]
        key = there[0] if there else None
    split_by = tuple(named(name, "split_by") for name in spec.split_by)
    no_features = {label, key, *split_by}
    if spec.features is not None:
        chosen = [named(name, "features") for name in spec.features]
        for column in chosen:
            if column == label:
                raise ArgumentError(f"features => […] names the label {label!r}: leave it out")
        if spec.hog is not None:
            chosen.append(named(spec.hog, "features"))
    else:
        no_features |= {named(name, "exclude") for name in spec.exclude}
        chosen = [c for c in types if c not in no_features and not is_reason(c, types)]
    chosen = list(dict.fromkeys(chosen))
    layers = tuple(c for c in chosen if is_layer(types[c]))
    texts = tuple(c for c in chosen if is_text(types[c]))
    numbers = tuple(c for c in chosen if is_structured(types[c]))
    other = [c for c in chosen if c not in (*layers, *texts, *numbers)]
    if other or (texts and spec.categorical is None):
        raise ModelError(_no_features(texts if spec.categorical is None else (), other, types))
    if not chosen:
        raise ModelError(
            f"the data to train on has no feature column beside label {label!r}"
            + (f" and key {key!r}" if key else "")
        )
    structured = tuple(c for c in chosen if c in texts or c in numbers)
    return Columns(label, label_type, key, split_by, structured, layers, texts)


def _no_features(
    texts: Sequence[str], other: Sequence[str], types: Mapping[str, pa.DataType]
) -> str:
    """Return the message about columns that cannot be features: texts, and those of other types."""
    names = [*texts, *other]
    first = (
        f"column {names[0]!r} has type {_shown(types[names[0]])} and cannot be a feature (a "
        "number, BOOLEAN, or a list of FLOAT or DOUBLE can): "
    )
    if not texts:
        return f"{first}turn it into numbers, or leave it out with {excluding(names)}"
    more = f", as {', '.join(map(repr, texts[1:]))} would" if len(texts) > 1 else ""
    return (
        f"{first}it would with categorical => 'one_hot' (a column for each of its values){more}; "
        f"or leave it out with {excluding(names)}"
    )


def _shown(kind: pa.DataType) -> str:
    if is_text(kind):
        return "ENUM" if pa.types.is_dictionary(kind) else "text (VARCHAR)"
    return str(kind)
