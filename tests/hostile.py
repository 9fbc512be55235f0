"""Statements that nobody would write, from a seed; and whether what is said of them may be said."""

# ruff: noqa: E501 - a statement is a line

from __future__ import annotations

import re
from random import Random

import duckdb

from vista_sql import errors
from vista_sql.errors import VistaError
from vista_sql.sql import calls

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
    "\ud800", "\u202e", "\ufeff", "\x85", "ſ", "$a$", "#1", "@", "!", "%", "e1", "IS DISTINCT FROM", "1::VARCHAR",
)  # fmt: skip
TOKEN = re.compile(r"'[^']*'|\$\$.*?\$\$|\w+|\s+|.")

CALLS = {  # what each function takes where nothing is amiss
    "transfer": {"cnn": "'hog'", "images": "'images'", "structured": "'foods'"},
    "vista_compare": {"cnn": "['lenet5']", "label": "'cat'", "images": "'images'", "structured": "'foods'"},
    "vista_confusion": {"model": "'m'", "data": "'known'"},
    "vista_evaluate": {"model": "'m'", "data": "'known'"},
    "vista_explain": {"sql": f"$${WRITTEN[0]}$$"},
    "vista_finetune": {"model": "'n'", "from_model": "'m'", "images": "'images'", "unfreeze": "'fc6'"},  # never trains
    "vista_layers": {"cnn": "'lenet5'"},
    "vista_materialize": {"cnn": "'lenet5'", "layer": "'conv2'", "images": "'images'"},
    "vista_model_sql": {"model": "'m'"},
    "vista_optimize": {"cnn": "'alexnet'", "layers": "['fc6']", "n_rows": "100", "structured_columns": "3"},
    "vista_predict": {"model": "'m'", "data": "'known'"},
    "vista_rank_sources": {"cnn": "['lenet5']", "label": "'cat'", "images": "'images'", "structured": "'foods'"},
    "vista_read_tfrecord": {"files": "'known.tfrecord'"},
    "vista_train": {"model": "'n'", "label": "'y'", "data": "'known'", "max_iterations": "3"},
    "vista_write_tfrecord": {"data": "'known'", "file": "'written.tfrecord'"},
}  # fmt: skip
KNOWN = "CREATE TABLE known AS SELECT i AS id, (i * i) % 7 > 2 AS y, sin(i)::FLOAT AS x, [i, 1]::FLOAT[2] AS f FROM range(40) AS t(i)"
VALUES = (
    "NULL", "TRUE", "0", "-1", "1", "99999999999999999999999999", "1e308", "'nan'::DOUBLE", "0.1", "''", "' '", "''''",
    "'é'", "'𝄞'", "chr(0)", "repeat('x', 4000)", "[]", "[[]]", "[NULL]", "['a', NULL]", "[1, 'a']", "[['a']]", "{'a': 1}",
    "MAP {'a': 1}", "MAP {}", "'nope'", "nope", "'foods'", "foods", '"foods"', "'\"foods\"'", "'\"a\"\"b\"'", "'main.foods'",
    "'a.b.c.d'", "'(SELECT 1)'", "'SELECT'", "$$SELECT * FROM$$", "'FROM foods; FROM foods'", "'foods;'", "'foods --'",
    "'/* foods'", "(SELECT 1)", "(SELECT 'hog')", "(FROM foods)", "DATE '2020-01-01'", "INTERVAL 1 DAY", "'\\x00'::BLOB",
    "?", "$1", "$x", "x -> x", "COLUMNS(*)", "*", "DEFAULT", "getvariable('no')", "random()", "'{'", "'[1'", "'TRANSFER()'",
    "'photos/'", "'*.jpg'", "'['", "'zip://a::b'", "'s3://'", "'file://'", "'id'", "['id', 'id']", "['id', 'id', 'id']", "'ID'",
    "'image'", "'price'", "'error'", "'hog'", "['hog', 'hog']", "['fc6']", "-1", "[-1, -99]", "[0]", "'model:m'", "'m'", "'m@1'",
    "'m@0'", "'m/x@y'", "'../m'", "'a.keras'", "'a.onnx'", "'random'", "'bundled'", "'imagenet'", "'0'", "'1KB'", "'-1GB'",
    "'9999PB'", "'1e3 MB'", "1.5", "true", "'lazy'", "'staged'", "'gpu'", "'none'", "'long'", "'skip'", "'raise'", "'left'",
    "'bfloat16'", "'known'", "'y'", "'x'", "1::UTINYINT", "'a'::ENUM('a')", "UUID '00000000-0000-0000-0000-000000000000'",
    "'TRANSFER(cnn => ''hog'')'", f"$${T}$$", "$$SELECT * FROM VISTA_TRAIN()$$", "$$FROM VISTA_EXPLAIN('FROM VISTA_EXPLAIN('''')')$$",
    "'WITH a AS (FROM foods) FROM a'", "'VALUES (1)'", "'DROP TABLE none'", "'PRAGMA version'", "'COPY foods TO ''x.csv'''",
)  # fmt: skip
AROUND = (
    "SELECT * FROM {0}", "FROM {0}", "SELECT count(*) FROM {0} AS t", "SELECT t.* FROM foods, {0} AS t", "SELECT {0}",
    "SELECT * FROM foods AS f, LATERAL (FROM {0} AS t WHERE t.id = f.id)", "WITH foods AS (FROM {0}) FROM foods",
    "SELECT * FROM {0} AS a JOIN {0} AS b USING (id)", "SELECT (SELECT count(*) FROM {0})", "DESCRIBE SELECT * FROM {0}",
    "CREATE OR REPLACE TEMP TABLE made AS FROM {0}", "EXPLAIN FROM {0}", "SELECT id FROM {0} WHERE price > 3 AND {0}",
    "SELECT id FROM {0} UNION ALL FROM {0} ORDER BY 1 LIMIT 2", "SUMMARIZE FROM {0}", "FROM foods WHERE id IN (SELECT id FROM {0})",
    "SELECT nope, \"né\" FROM {0} AS \"né\"(a, b)", "/* {0} */ SELECT 1 -- {0}", "SELECT '{0}'", "FROM VISTA_EXPLAIN($vista${0}$vista$)",
    "FROM VISTA_TRAIN(model => 'o', label => 'y', max_iterations => 2, data => $vista$FROM {0}$vista$)", "PIVOT {0} ON id USING count(*)",
    "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r, {0} WHERE i < 2) FROM r", "FROM (FROM (FROM (FROM {0})))",
    "SELECT * FROM {0} TABLESAMPLE 10%", "SELECT DISTINCT ON (id) * FROM {0} QUALIFY rank() OVER (ORDER BY id) = 1",
)  # fmt: skip


def statement(chance: Random) -> str:
    """Return a statement: a written one after accidents, or a call with strange arguments."""
    if chance.random() < 0.5:
        return mutated(chance, chance.choice(WRITTEN), chance.choice((1, 1, 2, 3, 6)))
    text = chance.choice(AROUND).replace("{0}", call(chance))
    if chance.random() < 0.2:
        text = mutated(chance, text, chance.choice((1, 2)))
    return text[: chance.randrange(len(text))] if chance.random() < 0.08 else text


def call(chance: Random) -> str:
    """Return a call of one of our functions, some of its arguments not as they should be."""
    name = chance.choice(calls.names())
    given = dict(CALLS.get(name, {}))
    known = [argument.name for argument in calls.load(name).arguments]
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        strange = chance.random() < 0.1 or not known
        given[
            chance.choice(("nope", '"né"', "select", "1")) if strange else chance.choice(known)
        ] = chance.choice(VALUES)
    if given and chance.random() < 0.1:
        del given[chance.choice(list(given))]
    arrow = chance.choice((" => ", " => ", " := ", "=>", " = ", " /* , */ => "))
    parts = [f"{key}{arrow}{value}" for key, value in given.items()]
    if chance.random() < 0.1:
        chance.shuffle(parts)
        parts.append(chance.choice((*VALUES, *parts, "")))
    return f"{chance.choice((name.upper(), name, name.title()))}({', '.join(parts)})"


def mutated(chance: Random, text: str, accidents: int) -> str:
    """Return a text after accidents: tokens lost, doubled, exchanged, strange ones among them."""
    parts = TOKEN.findall(text)
    for _ in range(accidents):
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
                one, two = parts[at : at + 1], parts[other : other + 1]
                parts[at : at + 1], parts[other : other + 1] = two, one
            case _:
                parts[at : at + 1] = [chance.choice(HOSTILE)]
    return "".join(parts)


OURS = {
    name for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, VistaError)
}  # fmt: skip
PYTHON = re.compile(r"(?:executing the UDF: |^|\n)(\w+(?:Error|Exception|Invalid|Exit)\w*): ")
FOREIGN = re.compile(
    r"INTERNAL|Traceback|sqlglot|\bnumpy\b|pyarrow|lmdb\.|__vista|object has no attribute"
    r"|\b(?:Index|Attribute|Key|Type|Value|Assertion|Recursion|Name|Unicode\w*|UnboundLocal|Parse|Token|OS|"
    r"Memory|Runtime|NotImplemented)Error\b|\bArrow(?:Invalid|\w*Error)\b"
)


def foreign(error: BaseException, text: str, surface: str) -> str | None:
    """Return what is said where it may not be: neither in our words nor DuckDB's of the text.

    A bare connection has our errors as DuckDB wraps them, by the names of their classes. There
    DuckDB binds what we print, alone: what it says of an unknown column may name a relation of ours.
    """
    said = f"{type(error).__name__}: {error}"
    if not isinstance(error, VistaError | duckdb.Error):
        return said
    if isinstance(error, duckdb.InternalException | duckdb.FatalException):
        return said
    own = str(error)
    for name in PYTHON.findall(own):
        if name not in OURS and not hasattr(duckdb, name):
            return said
    binds = surface == "bare" and isinstance(error, duckdb.BinderException)
    found = [one for one in FOREIGN.findall(own) if one not in text]
    return said if [one for one in found if not (binds and one == "__vista")] else None
