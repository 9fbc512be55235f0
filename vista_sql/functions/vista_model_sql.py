"""VISTA_MODEL_SQL: a kept model as a macro of plain DuckDB, for machines without vista_sql."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vista_sql.functions._training import find_model
from vista_sql.models import Model
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import Text
from vista_sql.sql.quoting import identifier, text_literal

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    """
    columns = [*model.structured, *model.layers]
    head = f"CREATE OR REPLACE MACRO {macro_name(model)}({', '.join(map(identifier, columns))}) AS "
    chances = _tree(model) if model.trainer == "tree" else _logistic(model)
    classes = "[" + ", ".join(map(text_literal, model.classes)) + "]"
    missing = " OR ".join(f"{identifier(name)} IS NULL" for name in columns)
    best = "list_position(p, list_max(p))"
    return (
        f"{head}CASE WHEN {missing} THEN NULL ELSE list_transform([{chances}], lambda p: "
        f"{{'predicted_label': CAST({classes}[{best}] AS {model.label_type}), "
        f"'probability': list_max(p), 'probabilities': map({classes}, p)}})[1] END;"
    )


def _logistic(model: Model) -> str:
    """Return an expression: the list of the classes' probabilities."""
    arrays = model.arrays()
    margins = [
        _margin(model, coef.tolist(), float(intercept))
        for coef, intercept in zip(arrays["coef"], arrays["intercept"], strict=True)
    ]
    if len(margins) == 1:
        margins.insert(0, "CAST(0 AS DOUBLE)")
    return (
        f"list_transform([list_transform([[{', '.join(margins)}]], "
        "lambda z: list_transform(z, lambda one: exp(one - list_max(z))))[1]], "
        "lambda e: list_transform(e, lambda one: one / list_sum(e)))[1]"
    )


def _margin(model: Model, coef: Sequence[float], intercept: float) -> str:
    terms, start = [_double(intercept)], len(model.structured)
    terms += [
        f"{_double(weight)} * CAST({identifier(name)} AS DOUBLE)"
        for name, weight in zip(model.structured, coef, strict=False)
        if weight
    ]
    for name, size in model.layers.items():
        weights = ", ".join(_double(weight) for weight in coef[start : start + size])
        terms.append(f"list_dot_product(CAST({identifier(name)} AS DOUBLE[]), [{weights}])")
        start += size
    return " + ".join(terms)


def _tree(model: Model) -> str:
    """Return an expression: nested CASEs whose leaves are lists of probabilities."""
    arrays = model.arrays()
    left, right = arrays["left"].tolist(), arrays["right"].tolist()
    feature, threshold = arrays["feature"].tolist(), arrays["threshold"].tolist()
    mean, scale = arrays["mean"].tolist(), arrays["scale"].tolist()

    def node(i: int) -> str:
        if left[i] < 0:
            return "[" + ", ".join(_double(p) for p in arrays["value"][i].tolist()) + "]"
        at = int(feature[i])
        factor = 1.0 / scale[at] if scale[at] > 0 else 0.0
        value = f"CAST({identifier(model.structured[at])} AS DOUBLE)"
        scaled = f"CAST(({value} - {_double(mean[at])}) * {_double(factor)} AS FLOAT)"
        test = f"CAST({scaled} AS DOUBLE) <= {_double(threshold[i])}"
        return f"CASE WHEN {test} THEN {node(int(left[i]))} ELSE {node(int(right[i]))} END"

    return node(0)


def _double(value: float) -> str:
    """Return a literal that DuckDB reads as just this DOUBLE: 17 digits and an exponent."""
    return f"{value:.17e}" if value >= 0 else f"({value:.17e})"


FUNCTION = TableFunction(
    name="vista_model_sql",
    arguments=(
        Argument("model", "a kept model: name, name/layer, name@version", Text(), required=True),
    ),
    expand=expand,
    meaning="the model as a macro of plain DuckDB SQL that scores stored features",
)
