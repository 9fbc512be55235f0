"""VISTA_NEIGHBORS, VISTA_OUTLIERS and VISTA_DUPLICATES are what DuckDB's own distances say."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vista_sql

NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.5, 0.25, 1e-3, float("nan")])
ROWS = st.lists(
    st.tuples(
        st.none() | st.sampled_from(["a", "B", "b", "ä", "10", "9"]),
        st.none() | st.tuples(NUMBERS, NUMBERS, NUMBERS),
    ),
    min_size=1,
    max_size=14,
)
DISTANCE = {"cosine": "array_cosine_distance", "l2": "array_distance"}

USABLE = """
CREATE OR REPLACE TEMP TABLE usable AS SELECT row_number() OVER () AS number, key, v::DOUBLE[3] AS v
FROM given WHERE v IS NOT NULL AND NOT list_bool_or([isnan(x) FOR x IN v::FLOAT[]])
AND ({l2} OR v <> [0, 0, 0]::FLOAT[3])
"""


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as con:
        vista_sql.attach(con)
        con.execute("CREATE TABLE given (key VARCHAR, v FLOAT[3])")
        yield con


def fill(con, rows, metric):
    con.execute("DELETE FROM given")
    con.executemany("INSERT INTO given VALUES (?, ?)", [[key, v] for key, v in rows])
    con.execute(USABLE.format(l2=metric == "l2"))


def refused(con, text):
    """Return whether a statement is refused, for no row can be compared."""
    try:
        return con.execute(text).fetchall(), False
    except duckdb.Error as error:
        if "nothing can be compared" not in str(error):
            raise
        return [], True


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, metric=st.sampled_from(["cosine", "l2"]), k=st.integers(1, 20))
def test_neighbors_are_those_of_a_join(con, rows, metric, k):
    fill(con, rows, metric)
    found, none = refused(
        con,
        f"SELECT id, neighbor_id, rank, distance FROM VISTA_NEIGHBORS('given', key => 'key', "
        f"k => {k}, metric => '{metric}')",
    )
    wanted = con.execute(f"""
        SELECT key, neighbor, rank, distance FROM (
          SELECT one.key AS key, one.number AS number, other.key AS neighbor,
                 greatest({DISTANCE[metric]}(one.v, other.v), 0) AS distance,
                 row_number() OVER (PARTITION BY one.number ORDER BY round(distance, 12), other.key)
                   AS rank
          FROM usable AS one JOIN usable AS other ON one.number <> other.number)
        WHERE rank <= {k}
        """).fetchall()  # rounded: DuckDB's cosine of equal vectors is not always 0
    assert none == (not con.execute("FROM usable").fetchall())

    def sorted_by_row(rows):
        return sorted((key or "", rank, round(far, 7), near or "") for key, near, rank, far in rows)

    assert sorted_by_row(found) == sorted_by_row(wanted)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, metric=st.sampled_from(["cosine", "l2"]), k=st.integers(1, 5))
def test_outliers_are_far_from_their_kth_neighbour(con, rows, metric, k):
    fill(con, rows, metric)
    found, _ = refused(
        con,
        f"SELECT coalesce(id, ''), score, rank FROM VISTA_OUTLIERS('given', key => 'key', k => {k},"
        f" metric => '{metric}')",
    )
    wanted = con.execute(f"""
        SELECT coalesce(key, ''), (SELECT max(far) FROM (
            SELECT greatest({DISTANCE[metric]}(one.v, other.v), 0) AS far
            FROM usable AS other WHERE other.number <> one.number ORDER BY far LIMIT {k}))
        FROM usable AS one""").fetchall()
    assert [rank for *_, rank in found] == list(range(1, len(wanted) + 1))
    scores = [score for _, score, _ in found if score is not None]
    assert scores == sorted(scores, reverse=True)

    def shown(rows):
        return sorted((key, -1.0 if score is None else round(score, 7)) for key, score in rows)

    assert shown(row[:2] for row in found) == shown(wanted)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, threshold=st.sampled_from([0.0, 0.05, 0.3, 1.0]))
def test_duplicates_hang_together_by_near_pairs(con, rows, threshold):
    rows = [(f"{i:02}", v) for i, (_, v) in enumerate(rows)]
    fill(con, rows, "cosine")
    found, _ = refused(
        con,
        "SELECT representative_id, list(id ORDER BY id) FROM VISTA_DUPLICATES('given', "
        f"key => 'key', threshold => {threshold} + 1e-9) GROUP BY ALL ORDER BY ALL",
    )
    wanted = con.execute(f"""
        WITH RECURSIVE pairs AS (
          SELECT one.key AS one, other.key AS other FROM usable AS one, usable AS other
          WHERE array_cosine_distance(one.v, other.v) <= {threshold} + 1e-9),
        reached AS (SELECT one, other FROM pairs
                    UNION SELECT reached.one, pairs.other
                    FROM reached JOIN pairs ON pairs.one = reached.other)
        SELECT first, list(one ORDER BY one)
        FROM (SELECT one, min(other) AS first FROM reached GROUP BY one)
        GROUP BY first HAVING count(*) > 1 ORDER BY ALL""").fetchall()
    assert found == wanted
