"""What planning may ask: a database that is not seen knows nothing, names are given on the way."""

from __future__ import annotations

import inspect

import duckdb
import pytest

from vista_sql.errors import QueryError
from vista_sql.hosts.duckdb.database import Seen
from vista_sql.planning.database import Database, Naming, Unseen, with_clause

QUESTIONS = sorted(
    name for name, member in vars(Database).items()
    if inspect.isfunction(member) and not name.startswith("_")
)  # fmt: skip


@pytest.mark.parametrize("kind", [Unseen, Naming, Seen])
def test_every_database_answers_every_question(kind):
    for name in QUESTIONS:
        asked = inspect.signature(getattr(Database, name)).parameters
        assert list(inspect.signature(getattr(kind, name)).parameters) == list(asked)


def test_what_is_not_seen_is_not_known():
    unseen = Unseen(lambda relation: {"id": "INTEGER"} if relation == "photos" else None)
    assert unseen.columns("SELECT 1") is None
    assert unseen.glimpse("photos") == {"id": "INTEGER"}
    assert unseen.glimpse("food") is None
    assert (unseen.tables(), unseen.texts(""), unseen.views()) == ((), (), {})
    for question in (unseen.value, unseen.counts, unseen.plan):
        with pytest.raises(QueryError):
            question("SELECT 1")


def test_ctes_can_be_named():
    with duckdb.connect() as con:
        con.execute("CREATE VIEW v AS SELECT 1 AS one")
        inner = Naming(Seen(con, {"p": 5}), (("a AS (SELECT 7 AS n)", False),))
        both = inner.naming((("b AS (SELECT n + 1 AS m FROM a)", False),))
        assert both.counts("SELECT m FROM b") == (8,)
        assert both.columns("SELECT * FROM b") == {"m": "INTEGER"}
        assert both.texts("SELECT m::VARCHAR FROM b") == ["8"]
        assert both.value("$p") == 5
        assert "v" in both.views()
        assert both.tables() == ("v",)
        assert "PROJECTION" in both.plan("SELECT m FROM b") or "SCAN" in both.plan("FROM b")
        with pytest.raises(QueryError, match="Catalog Error"):
            inner.columns("SELECT * FROM b")


def test_a_recursive_one_makes_the_clause_recursive():
    assert with_clause(()) == ""
    assert with_clause((("a AS (FROM a)", True),)) == "WITH RECURSIVE a AS (FROM a) "
