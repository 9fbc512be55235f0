"""VISTA_MODEL_SQL: a kept model as a macro of plain DuckDB, for machines without vista_sql."""

from __future__ import annotations

from collections.abc import Sequence

from vista_sql import train
from vista_sql.errors import ModelError
from vista_sql.functions._training import find_model
from vista_sql.models import Model
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import Text
from vista_sql.sql.quoting import identifier, text_literal
from vista_sql.train.as_sql import double


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of one row: the macro's name, its arguments, and the statement to run."""
    model = find_model(call, planner)
    name, arguments = macro_name(model), [*model.structured, *model.layers]
    listed = ", ".join(text_literal(argument) for argument in arguments)
    return (
        f"SELECT {text_literal(name)} AS macro, CAST([{listed}] AS VARCHAR[]) AS arguments, "
        f"{text_literal(macro(model))} AS sql"
    )


def macro_name(model: Model) -> str:
    """Return a plain identifier: `healthy_avg_pool_3` for `healthy/avg_pool@3`."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in model.reference)
    return f"m{plain}" if plain[0].isdigit() else plain


def macro(model: Model) -> str:
    """Return CREATE MACRO: a scalar macro of the model's columns, in the model's order.

    It returns STRUCT(predicted_label, probability, probabilities), NULL where a column is NULL, and
    computes in DOUBLE what vista_score does.

    Raises:
        ModelError: the model's trainer has no form in SQL.
    """
    trainer = train.load(model.trainer)
    if trainer.as_sql is None:
        raise ModelError(
            f"model {model.reference!r} was fitted by trainer {trainer.name!r}, which has no form "
            "in SQL: score with VISTA_PREDICT"
        )
    columns = [*model.structured, *model.layers]
    head = f"CREATE OR REPLACE MACRO {macro_name(model)}({', '.join(map(identifier, columns))}) AS "
    score = trainer.as_sql(
        model.arrays(),
        _structured(model),
        {identifier(name): size for name, size in model.layers.items()},
    )
    needed = [*(model.numbers if model.fill is None else ()), *model.layers]
    missing = " OR ".join(f"{identifier(name)} IS NULL" for name in needed) or "false"
    if trainer.learns == "numbers":
        return (
            f"{head}CASE WHEN {missing} THEN NULL ELSE {{'predicted_label': {score}, "
            "'probability': CAST(NULL AS DOUBLE), "
            "'probabilities': CAST(NULL AS MAP(VARCHAR, DOUBLE))} END;"
        )
    classes = "[" + ", ".join(map(text_literal, model.classes)) + "]"
    best = "list_position(p, list_max(p))"
    return (
        f"{head}CASE WHEN {missing} THEN NULL ELSE list_transform([{score}], lambda p: "
        f"{{'predicted_label': CAST({classes}[{best}] AS {model.label_type}), "
        f"'probability': list_max(p), 'probabilities': map({classes}, p)}})[1] END;"
    )


def _structured(model: Model) -> list[str]:
    """Return expressions of the structured features: see `vista_sql.train.encoding`."""
    names = [identifier(name) for name in model.numbers]
    texts = [feature for name, levels in model.levels.items() for feature in _one_hot(name, levels)]
    if model.fill is None:
        return [*names, *texts]
    lacks = [f"({name} IS NULL OR isnan(CAST({name} AS DOUBLE)))" for name in names]
    values = [
        f"(CASE WHEN {lack} THEN {double(value)} ELSE CAST({name} AS DOUBLE) END)"
        for lack, name, value in zip(lacks, names, model.fill, strict=True)
    ]
    return [*values, *lacks, *texts]


def _one_hot(name: str, levels: Sequence[str | None]) -> list[str]:
    """Return conditions of a text column's levels, then of all others; none of them is NULL.

    Text is compared as bytes: a column may have a collation, and an ENUM knows its values only.
    """
    bytes_ = f"encode(CAST({identifier(name)} AS VARCHAR))"
    known = [f"encode({text_literal(level)})" for level in levels if level is not None]
    conditions = [f"({bytes_} IS NOT DISTINCT FROM {level})" for level in known]
    if None in levels:
        conditions.append(f"({bytes_} IS NULL)")
    is_other = f"NOT list_contains(CAST([{', '.join(known)}] AS BLOB[]), {bytes_})"
    # what a list contains of NULL is NULL or false, as DuckDB's version has it
    null = f"{bytes_} IS NOT NULL AND" if None in levels else f"{bytes_} IS NULL OR"
    return [*conditions, f"({null} {is_other})"]


FUNCTION = TableFunction(
    name="vista_model_sql",
    arguments=(
        Argument("model", "a kept model: name, name/layer, name@version", Text(), required=True),
    ),
    expand=expand,
    meaning="the model as a macro of plain DuckDB SQL that scores stored features",
)
