"""Numbers as SQL: DuckDB reads what NumPy has, to the last bit."""

import duckdb
import numpy as np
import pytest
from scipy.special import softmax

from vista_sql.train import as_sql


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        yield connection


@pytest.mark.parametrize("value", [0.1, -1 / 3, 1e-308, -1e300, 0.0, 2.0**53 + 2])
def test_a_literal_is_the_number(con, value):
    ((read, kind),) = con.execute(
        f"SELECT x, typeof(x) FROM (SELECT {as_sql.double(value)} AS x)"
    ).fetchall()
    assert (read, kind) == (value, "DOUBLE")


def test_a_list_may_be_empty(con):
    values = np.random.default_rng(0).standard_normal(20).tolist()
    assert con.execute(f"SELECT {as_sql.doubles(values)}").fetchall() == [(values,)]
    assert as_sql.doubles([]) == "[]"


@pytest.mark.parametrize("margins", [[700.0, -3.0, 699.0], [0.5], [-800.0]])
def test_softmax_does_not_overflow(con, margins):
    expected = softmax([0.0, *margins] if len(margins) == 1 else margins)
    ((read,),) = con.execute(f"SELECT {as_sql.softmax([str(z) for z in margins])}").fetchall()
    assert read == pytest.approx(expected.tolist(), abs=1e-15)
