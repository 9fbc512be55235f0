"""A user's text, changed: calls replaced, SAMPLE clauses removed, row groups set, a layer added."""

from __future__ import annotations

import duckdb
import pytest

from vista_sql.errors import QueryError
from vista_sql.sql import edit, parse

# ── calls and SAMPLE clauses ──────────────────────────────────────────────────────────────────────


def test_calls_are_replaced_where_they_stand():
    text = "SELECT ')' AS x -- TRANSFER('a')\nFROM TRANSFER('a') AS t, TRANSFER('b') WHERE true"
    (statement,) = parse.parse(text)
    assert edit.splice(statement, ["SELECT 1", "SELECT 2"]) == (
        "SELECT ')' AS x -- TRANSFER('a')\nFROM (\nSELECT 1\n) AS t, "
        '(\nSELECT 2\n) AS "transfer" WHERE true'
    )


def test_spans_are_removed_beside_replaced_calls():
    text = "SELECT id FROM TRANSFER('a') AS t TABLESAMPLE 10% WHERE id < 3"
    (statement,) = parse.parse(text)
    span = edit.sample_span(text, statement.calls[0])
    spliced = edit.splice(statement, ["SELECT 1 AS id"], [span])
    assert spliced == "SELECT id FROM (\nSELECT 1 AS id\n) AS t WHERE id < 3"
    assert duckdb.sql(spliced).fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("clause", "removed"),
    [
        ("TABLESAMPLE 10% WHERE a < 3", "TABLESAMPLE 10% "),
        ("USING SAMPLE 10 PERCENT (bernoulli)", "USING SAMPLE 10 PERCENT (bernoulli)"),
        ("WHERE a < 3 USING SAMPLE 10% (system, 7)", "USING SAMPLE 10% (system, 7)"),
        (
            "TABLESAMPLE bernoulli(10%) REPEATABLE (3) LIMIT 3",
            "TABLESAMPLE bernoulli(10%) REPEATABLE (3) ",
        ),
        ("TABLESAMPLE 10% SEMI JOIN o USING (id)", "TABLESAMPLE 10% "),
        ("TABLESAMPLE 10% ANTI JOIN o USING (id)", "TABLESAMPLE 10% "),
        ("WHERE a = 'tablesample' USING SAMPLE 10%", "USING SAMPLE 10%"),
        ("JOIN (FROM o USING SAMPLE 3) AS o USING (id) WHERE a < 3", None),
        ("WHERE a < 3", None),
    ],
)
def test_a_samples_place(clause, removed):
    text = f"SELECT * FROM TRANSFER('a') AS t {clause}"
    (statement,) = parse.parse(text)
    span = edit.sample_span(text, statement.calls[0])
    assert (text[span[0] : span[1]] if span else None) == removed


# ── where rows go ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "sink"),
    [
        ("SELECT 1", "rows"),
        ("", "rows"),
        ("FROM t", "rows"),
        ("CREATE TABLE a AS SELECT 1", "file table"),
        ("CREATE OR REPLACE TEMP TABLE a AS SELECT 1", "table"),
        ("insert into a select 1", "file table"),
        ("COPY (SELECT 1) TO 'a.csv'", "rows"),
        ("COPY (SELECT 1) TO 'a.parquet'", "parquet"),
        ("copy (select 1) to 'a.pq' (format parquet)", "parquet"),
        ("COPY (SELECT 1) TO 'a.parquet' (FORMAT csv)", "rows"),
    ],
)
def test_where_rows_go(text, sink):
    assert edit.sink_of(text, "file table") == sink


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("COPY (SELECT 1) TO 'a.parquet'", " (FORMAT parquet, ROW_GROUP_SIZE 7)"),
        ("COPY (SELECT 1) TO 'a.x' (FORMAT parquet)", ", ROW_GROUP_SIZE 7)"),
        ("COPY (SELECT 1) TO 'a.parquet' (COMPRESSION zstd)", ", ROW_GROUP_SIZE 7)"),
        ("COPY (SELECT 1) TO 'a.parquet' (ROW_GROUP_SIZE 9)", None),
        ("COPY (SELECT 1) TO 'a.parquet' (FORMAT parquet, row_group_size_bytes '1MB')", None),
        ("COPY (SELECT 1) TO 'a.csv'", None),
        ("SELECT 'COPY (SELECT 1) TO a.parquet'", None),
    ],
)
def test_row_groups_are_set_where_the_user_did_not(text, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = edit.with_row_groups(text, 7)
    options = text.endswith(")")
    assert found == (text if expected is None else text[: len(text) - options] + expected)
    if "row_group_size_bytes" not in text:  # DuckDB wants another setting for it
        duckdb.connect().execute(found)


# ── one more layer ────────────────────────────────────────────────────────────────────────────────

CALL = "TRANSFER(cnn => 'lenet5', images => 'i', structured => 's')"


def wide(text):
    return edit.with_layer(text, "hog", lambda call: call, lambda call: ["conv3", "fc6"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"SELECT * FROM {CALL}",
            "SELECT * FROM TRANSFER(cnn => 'lenet5', images => 'i', structured => 's', "
            "layers => ['conv3', 'fc6', 'hog'])",
        ),
        (
            "FROM TRANSFER('lenet5', ['pool2'])",
            "SELECT * FROM TRANSFER('lenet5', ['pool2', 'hog'])",
        ),
        (
            "SELECT id, f.fc6 FROM TRANSFER('lenet5', layers := -1) AS f WHERE y > 1",
            'SELECT id, f.fc6, "f"."hog" FROM TRANSFER(\'lenet5\', '
            "layers := ['conv3', 'fc6', 'hog']) AS f WHERE y > 1",
        ),
        (
            "SELECT id FROM TRANSFER('lenet5', layers => ['HOG', 'fc6'], prefix => 'x_')",
            "SELECT id, \"transfer\".\"x_hog\" FROM TRANSFER('lenet5', layers => ['HOG', 'fc6'], "
            "prefix => 'x_')",
        ),
        (
            "SELECT a, b FROM (SELECT *, 1 AS a FROM TRANSFER('lenet5', 'fc6')) AS q JOIN r ON x",
            'SELECT a, b, "q"."hog" FROM (SELECT *, 1 AS a FROM TRANSFER(\'lenet5\', '
            "['fc6', 'hog'])) AS q JOIN r ON x",
        ),
        (
            "WITH f AS (SELECT id, fc6 FROM TRANSFER('lenet5', 'fc6')) SELECT d.*, fc6 "
            "FROM d JOIN f ON d.id = f.id",
            'WITH f AS (SELECT id, fc6, "transfer"."hog" FROM TRANSFER(\'lenet5\', '
            "['fc6', 'hog'])) SELECT d.*, fc6, \"f\".\"hog\" FROM d JOIN f ON d.id = f.id",
        ),
    ],
)
def test_the_layer_comes_through(text, expected):
    found, column = wide(text)
    assert found == expected
    assert column == ("x_hog" if "x_" in text else "hog")
    assert wide(found) == (found, column)  # a second time adds nothing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digits", "there is none"),
        ("SELECT * FROM digits", "there is none"),
        (f"SELECT max(fc6[1]) AS m FROM {CALL}", "combines its rows"),
        (f"SELECT DISTINCT id FROM {CALL}", "combines its rows"),
        (f"SELECT id FROM {CALL} GROUP BY id", "combines its rows"),
        (f"SELECT * FROM {CALL} UNION ALL SELECT * FROM t", "do not reach the result"),
        (f"SELECT * FROM t WHERE id IN (SELECT id FROM {CALL})", "do not reach the result"),
        (f"WITH f AS (FROM {CALL}) SELECT * FROM f JOIN f AS g ON f.id = g.id", "is read 2 times"),
        ("SELECT * FROM TRANSFER(cnn => 'lenet5', format => 'long')", "is not 'wide'"),
    ],
)
def test_what_cannot_come_through_is_told(text, message):
    with pytest.raises(QueryError) as caught:
        wide(text)
    assert message in str(caught.value)
