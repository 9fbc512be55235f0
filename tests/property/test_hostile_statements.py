"""Statements that nobody would write: what is raised is ours or DuckDB's, whatever they are."""

# ruff: noqa: E501 - a statement is a line

from __future__ import annotations

import random
import re

import duckdb
import pytest

from vista_sql.errors import VistaError

T = "TRANSFER(cnn => 'lenet5', layers => ['fc6'], images => 'images', structured => 'foods')"
DEEP = f"{'(' * 42}1{')' * 42}"
WRITTEN = (
    f"SELECT id, fc6[1] FROM {T} WHERE price > 3 ORDER BY price DESC LIMIT 4",
    f"WITH a AS (SELECT id, price FROM {T} AS t) SELECT count(*) AS n FROM a GROUP BY ALL HAVING n > 1",
    f"SELECT t.id, (SELECT 1) FROM {T} AS t JOIN foods f ON t.id = f.id AND f.price > $1 ORDER BY 1",
    f"SELECT * EXCLUDE (fc6), row_number() OVER (PARTITION BY name ORDER BY id) AS r FROM {T} QUALIFY r < 3",
    f"FROM {T} SELECT id WHERE name LIKE 'a%' AND EXISTS (SELECT 1 FROM foods WHERE foods.id = 3)",
    "SELECT * FROM VISTA_EXPLAIN($$SELECT id FROM TRANSFER(cnn => 'lenet5', images => 'images')$$)",
    "SELECT cnn FROM VISTA_CNNS() c LEFT JOIN VISTA_LAYERS('lenet5') l USING (cnn) UNION ALL SELECT 'x'",
    "SELECT {'a': [1, 2], 'b': MAP {'k': 1}}.a[1:2], x -> x + 1 FROM range(3) AS t(x)",
    "SHOW ALL; SHOW TABLES; DESCRIBE foods; SUMMARIZE foods",
    "PIVOT foods ON name USING sum(price); FROM foods TABLESAMPLE 10%",
)  # fmt: skip
HOSTILE = (
    "'", '"', "$$", "(", ")", "[", "]", "{", "}", ";", ",", ".", "::", "=>", ":=", "->", "--", "/*", "*/",
    "?", "$1", "$x", "\\", "\0", "é", "𝄞", "1e999", "0x", "1_0", "''", '""', "E'\\x'", "NULL", "SELECT", "FROM",
    "WHERE", "JOIN", "LATERAL", "ORDER BY ALL", "LIMIT 1%", "UNION", "EXCEPT", "OVER ()", "FILTER (WHERE 1)",
    "AT (VERSION => 1)", "SHOW ALL", "(SELECT 1)", "*", "COLUMNS('a.*')", "CASE", "END", "CAST(1 AS x)", DEEP,
    T, "TRANSFER", "TRANSFER(", "VISTA_TRAIN(", "VISTA_NO()", "TRANSFER()", "structured", "images => (FROM x)",
    "IN", "NOT", "BETWEEN", "IS", "AS", "AS t(a, b)", "USING SAMPLE 3", "ASOF", "POSITIONAL JOIN", "UNNEST([1])",
)  # fmt: skip
TOKEN = re.compile(r"'[^']*'|\$\$.*?\$\$|\w+|\s+|.")


def mutated(chance):
    """Return a written statement after a few accidents."""
    parts = TOKEN.findall(chance.choice(WRITTEN))
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at = chance.randrange(len(parts) or 1)
        match chance.randrange(6):
            case 0:
                del parts[at : at + chance.choice((1, 1, 2, 5))]
            case 1 | 2:
                parts.insert(at, f" {chance.choice(HOSTILE)} ")
            case 3:
                parts[at:at] = parts[at : at + chance.choice((1, 3, 8))]
            case 4:
                other = chance.randrange(len(parts) or 1)
                parts[at : at + 1], parts[other : other + 1] = (
                    parts[other : other + 1],
                    parts[at : at + 1],
                )
            case _:
                parts[at : at + 1] = [chance.choice(HOSTILE)]
    return "".join(parts)


def raised(ask, text):
    """Return what a statement raised that is neither ours nor DuckDB's."""
    try:
        ask(text)
    except (VistaError, duckdb.Error):
        return None
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return None


def foreign(db, seed, n):
    chance = random.Random(seed)
    found = []
    for i in range(n):
        text = mutated(chance)
        ask = (db.query, db.query, db.rewrite, db.explain)[i % 4]
        said = raised(ask, text)
        if said is not None:
            found.append((text, said))
    return found


def quiet(db, capfd, caplog, seed, n):
    assert foreign(db, seed, n) == []
    assert [r for r in caplog.records if r.name.startswith("sqlglot")] == []
    assert capfd.readouterr().err == ""
    assert db.query("SELECT count(*) FROM foods").fetchone() == (12,)


def test_what_is_raised_is_ours_or_duckdbs(fresh_db, capfd, caplog):
    quiet(fresh_db, capfd, caplog, 1, 2000)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 12))
def test_what_is_raised_is_ours_or_duckdbs_in_many(fresh_db, capfd, caplog, seed):
    quiet(fresh_db, capfd, caplog, seed, 10_000)


SURE = {
    f"SELECT {DEEP}": [(1,)],
    f"SELECT {DEEP} AS one, id FROM {T} WHERE id = 3": [(1, 3)],
    f"SELECT (SELECT 1) AS one, id FROM {T} ORDER BY 1, 2 LIMIT 1": [(1, 0)],
}


@pytest.mark.parametrize("text", SURE)
def test_what_sqlglot_cannot_read_duckdb_can(foods_db, text):
    assert foods_db.query(text).fetchall() == SURE[text]


def test_statements_of_duckdbs_own_reach_it(foods_db):
    assert "images" in foods_db.query("SHOW ALL").arrow()["name"].to_pylist()
    with pytest.raises(duckdb.ParserException, match="unterminated"):
        foods_db.query("SELECT 'a")
    assert "SELECT 'a" in foods_db.explain("SELECT 'a")
