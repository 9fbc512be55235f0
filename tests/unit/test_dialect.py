"""A dialect is data: statements, relations and narrow rows are read and printed in it."""

from __future__ import annotations

import pytest
import sqlglot

from vista_sql.errors import QueryError
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.context import Context, FreshNames
from vista_sql.planning.database import Unseen
from vista_sql.planning.planner import plan
from vista_sql.settings import Settings
from vista_sql.sql.dialect import DUCKDB, Dialect
from vista_sql.sql.parse import clean_relation, parse

SPARK = Dialect("spark", "`", "xxhash64")
TABLES = {
    "`photos`": {"id": "INT", "image": "BLOB"},
    "foods": {"id": "INT", "price": "DOUBLE", "odd name": "STRING"},
}


class Catalog(Unseen):
    """Two tables of another engine."""

    def columns(self, query):
        name = query.removeprefix("SELECT * FROM ")
        if name not in TABLES:
            raise QueryError(f"{name} does not exist")
        return TABLES[name]

    def has_usual_order(self):
        return True

    def has_collations(self):
        return False

    def counts(self, query):
        assert '"' not in query
        sqlglot.parse_one(query, dialect="spark")
        return (100.0, 100.0, 50_000.0) if "octet_length" in query else (10.0, 10.0, 9.0)


def script(text):
    (statement,) = parse(text, SPARK)
    host = Capabilities(dialect=SPARK, small_batches=True)
    settings = Settings({"vista_store": False}, {})
    return plan(statement, Catalog(), Context(settings, "home", host, FreshNames("salt")))


def test_names_are_quoted_as_the_dialect_does():
    assert DUCKDB.identifier('a"b') == '"a""b"'
    assert SPARK.identifier("a`b") == "`a``b`"


def test_a_relation_stays_in_its_dialect():
    assert clean_relation("SELECT `a` FROM t -- note", SPARK) == "(SELECT `a` FROM t)"
    assert clean_relation("my.`odd name`", SPARK) == "my.`odd name`"


@pytest.mark.parametrize("plan_name", ["fused", "distinct"])
def test_narrow_rows_are_planned_and_printed_in_the_hosts_dialect(plan_name):
    made = script(
        "SELECT fc6, `odd name` FROM TRANSFER(cnn => 'lenet5', layers => array('fc6'), "
        f"images => '`photos`', structured => 'foods', plan => '{plan_name}') "
        "WHERE `price` < 10 AND `odd name` <> 'x' ORDER BY price LIMIT 3"
    )
    (transfer,) = made.transfers
    rows = transfer.staged.rows
    assert '"' not in rows
    assert "`odd name` <> 'x'" in rows
    assert ("xxhash64(" in rows) == (plan_name == "distinct")
    tree = sqlglot.parse_one(rows, dialect="spark")
    assert {table.name for table in tree.find_all(sqlglot.exp.Table)} == {"photos", "foods"}
    assert transfer.workload.needs.limit == 3
    assert transfer.workload.facts.rows == 10
