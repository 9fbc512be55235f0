"""Every golden statement is rewritten (and explained) as its file says, and gives the right rows.

A file is a statement, then its staged SQL. `-- check: <query>` says what to look at where the
statement itself returns no rows. `pytest --accept` writes the files anew: read the difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import foods
import pytest

from vista_sql.session import Session
from vista_sql.sql import edit, parse

FOLDER = Path(__file__).parent
MARK = "\n-- output --\n"
CHECK = re.compile(r"^-- check: (.*)$", re.MULTILINE)
REWRITES = sorted(FOLDER.glob("rewrite/*.sql"))
EXPLAINS = sorted(FOLDER.glob("explain/*.txt"))


@pytest.fixture(scope="module")
def db() -> Iterator[Session]:
    with new_db() as session:
        yield session


def new_db() -> Session:
    session = Session(duckdb.connect(), own=True, salt="golden")
    session.con.execute("SET VARIABLE vista_memory_limit = '4GB'")
    foods.fill(session.con)
    session.con.execute("CREATE TABLE kept (id INTEGER, price DOUBLE, f6 FLOAT[84])")
    session.con.execute('CREATE SCHEMA my; CREATE TABLE my."More Foods" AS FROM foods')
    return session


def compare(case: Path, actual: str, accept: bool) -> None:
    statement, _, expected = case.read_text().partition(MARK)
    if accept:
        case.write_text(f"{statement.rstrip()}{MARK}{actual}\n")
    else:
        assert actual == expected.rstrip("\n")


def unoptimised(db: Session, statement: parse.Statement) -> str:
    """Return a statement with every TRANSFER replaced by a table of its whole result."""
    names = []
    for number, found in enumerate(statement.calls):
        ctes = parse.visible_ctes(found)
        recursive = "RECURSIVE " if any(recursive for _, recursive in ctes) else ""
        with_ = f"WITH {recursive}{', '.join(text for text, _ in ctes)} " if ctes else ""
        call = statement.text[found.start : found.end]
        db.query(f"CREATE OR REPLACE TABLE whole_{number} AS {with_}SELECT * FROM {call}")
        names.append(f"FROM whole_{number}")
    return edit.splice(statement, names)


@pytest.mark.parametrize("case", REWRITES, ids=lambda case: case.stem)
def test_rewrite(case, accept, db):
    statement = case.read_text().partition(MARK)[0]
    compare(case, db.rewrite(statement), accept)


@pytest.mark.parametrize("case", EXPLAINS, ids=lambda case: case.stem)
def test_explain(case, accept, db):
    statement = case.read_text().partition(MARK)[0]
    compare(case, db.explain(statement), accept)


@pytest.mark.parametrize("case", REWRITES, ids=lambda case: case.stem)
def test_rewritten_statement_gives_the_rows_of_the_unoptimised_one(case, db, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # COPY writes here
    text = case.read_text().partition(MARK)[0]
    check = CHECK.search(text)
    (statement,) = parse.parse(text)
    with ExitStack() as stack:
        if check:  # it changes the database
            db = stack.enter_context(new_db())
        ours = db.query(text)
        rows = db.con.sql(check[1]).fetchall() if check else ours.fetchall()
        if check:
            db = stack.enter_context(new_db())
        theirs = db.con.sql(unoptimised(db, statement))
        want = db.con.sql(check[1]).fetchall() if check else theirs.fetchall()
        assert foods.sorted_rows(rows) == foods.sorted_rows(want)
        assert rows or "empty" in case.stem
        assert foods.leftovers(db.con) == []


def test_every_plan_and_placement_is_shown():
    texts = "".join(case.read_text() for case in REWRITES)
    for hint in ("lazy", "eager", "staged", "fused", "distinct", "before", "after"):
        assert f"'{hint}'" in texts
