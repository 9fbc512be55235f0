"""Numbers and formulas as DuckDB SQL: what trainers write their `as_sql` with."""

from __future__ import annotations

from collections.abc import Sequence


def double(value: float) -> str:
    """Return a literal that DuckDB reads as just this DOUBLE: 17 digits and an exponent.

    >>> double(0.1), double(-2.0)
    ('1.00000000000000006e-01', '(-2.00000000000000000e+00)')
    """
    return f"{value:.17e}" if value >= 0 else f"({value:.17e})"


def doubles(values: Sequence[float]) -> str:
    """Return a list of DOUBLEs.

    >>> doubles([0.5, 1.0])
    '[5.00000000000000000e-01, 1.00000000000000000e+00]'
    """
    return "[" + ", ".join(map(double, values)) + "]"


def softmax(margins: Sequence[str]) -> str:
    """Return an expression, the list of the classes' probabilities, from one per margin.

    One margin is the log-odds of the second of two classes, as `Trainer` has it.

    >>> import duckdb
    >>> with duckdb.connect() as con:
    ...     con.sql(f"SELECT {softmax(['0.0'])}, {softmax(['0', '0', '0', '0'])}").fetchall()
    [([0.5, 0.5], [0.25, 0.25, 0.25, 0.25])]
    """
    classes = ["CAST(0 AS DOUBLE)", *margins] if len(margins) == 1 else margins
    return (
        f"list_transform([list_transform([[{', '.join(classes)}]], "
        "lambda z: list_transform(z, lambda one: exp(one - list_max(z))))[1]], "
        "lambda e: list_transform(e, lambda one: one / list_sum(e)))[1]"
    )
