"""Structured columns come back as the type and value they had, in their order, by every way in."""

from __future__ import annotations

import foods
import pytest

COLUMNS = {  # name → expression over foods.id
    "choice": "(CASE WHEN id % 2 = 0 THEN 'b' ELSE 'a' END)::ENUM('b', 'a')",
    "uuid": "md5(id::VARCHAR)::UUID",
    "json": "('{\"a\": ' || id || '}')::JSON",
    "bits": "'0101'::BIT",
    "time_zone": "(CASE WHEN id = 1 THEN '12:00:00+02' ELSE '12:00:00-15:59:59' END)::TIMETZ",
    "huge": "(CASE WHEN id = 1 THEN -170141183460469231731687303715884105728 ELSE id END)::HUGEINT",
    "unsigned": "340282366920938463463374607431768211455::UHUGEINT - id::UHUGEINT",
    "day": "(CASE WHEN id = 2 THEN 'infinity' ELSE '0044-03-15 (BC)' END)::DATE",
    "moment": "(CASE WHEN id = 2 THEN '-infinity' ELSE '2020-01-01' END)::TIMESTAMP",
    "nano": "'2020-01-01 00:00:00.123456789'::TIMESTAMP_NS",
    "zoned": "'1883-11-18 12:03:58+00'::TIMESTAMPTZ + INTERVAL (id) DAY",
    "span": "INTERVAL (id) MONTH - INTERVAL 40 DAY",
    "nested": "{'u': md5(id::VARCHAR)::UUID, 'l': [id::HUGEINT]}",
    "listed": "[('x' || id)::VARCHAR, NULL]",
    "mapped": "MAP {coalesce(id, 0): 'x'}",
    "exact": "(id / 3)::DECIMAL(38, 20)",
    "text": "CASE WHEN id % 3 = 0 THEN NULL ELSE 'Ab' || id END",
}
CALL = "TRANSFER(cnn => 'lenet5', layers => ['f6'], images => 'images', structured => 'odd')"


@pytest.fixture(scope="module")
def db():
    with foods.connect() as session:
        session.con.execute("SET TimeZone = 'Europe/Amsterdam'")
        shown = ", ".join(f"{text} AS {name}" for name, text in COLUMNS.items())
        session.con.execute(
            f"CREATE TABLE odd AS SELECT id, {shown} FROM foods WHERE id IS NOT NULL;"
            "CREATE TABLE features AS "
            "SELECT id, f6 FROM TRANSFER(cnn => 'lenet5', layers => ['f6']);"
            "CREATE TABLE whole AS SELECT * FROM odd JOIN features USING (id)"
        )
        yield session


@pytest.mark.parametrize("plan", ["fused", "distinct", "staged"])
@pytest.mark.parametrize("placement", ["after", "before"])
@pytest.mark.parametrize("column", COLUMNS)
def test_types_values_and_order_survive(db, column, placement, plan):
    call = f"{CALL[:-1]}, placement => '{placement}', plan => '{plan}')"
    query = f"SELECT {column} AS c, typeof({column}) AS t, id, f6 FROM {{}} ORDER BY {column}, id"
    db.query(f"CREATE OR REPLACE TABLE found AS {query.format(call)}").arrow()
    expected = f"({query.format('whole')})"
    assert (
        db.con.sql("SELECT id FROM found").fetchall()
        == db.con.sql(f"SELECT id FROM {expected}").fetchall()
    )
    assert db.con.sql(f"FROM found EXCEPT ALL FROM {expected}").fetchall() == []
    assert (
        db.con.sql("DESCRIBE found").fetchall()[0][1]
        == db.con.sql(f"DESCRIBE FROM {expected}").fetchall()[0][1]
    )


@pytest.mark.parametrize("key", ["uuid", "choice", "huge", "day"])
@pytest.mark.parametrize("placement", ["after", "before"])
def test_keys_of_any_type_join(db, key, placement):
    db.con.execute(
        f"CREATE OR REPLACE TABLE pictures AS "
        f"SELECT odd.{key} AS k, image FROM odd JOIN images USING (id)"
    )
    call = (
        f"TRANSFER(cnn => 'lenet5', layers => ['f6'], images => 'pictures', structured => 'odd', "
        f"key => ['{key}', 'k'], placement => '{placement}')"
    )
    n = db.query(
        f"SELECT count(*) FROM (SELECT f6, error FROM {call} WHERE f6[1] > -9 OR f6 IS NULL)"
    ).fetchall()
    assert (
        n
        == db.con.sql(f"SELECT count(*) FROM odd JOIN pictures AS p ON odd.{key} = p.k").fetchall()
    )


@pytest.fixture
def collated(db):
    db.con.execute(
        "CREATE TABLE signs (id INTEGER, sign VARCHAR COLLATE NOCASE);"
        "INSERT INTO signs SELECT id, CASE WHEN id % 2 = 0 THEN 'STOP' ELSE 'stop' END FROM foods"
    )
    yield db
    db.con.execute("DROP TABLE signs")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT sign, count(f6) AS n FROM {} GROUP BY sign",
        "SELECT count(DISTINCT sign) AS n, count(f6) AS m FROM {}",
        "SELECT id, f6 FROM {} WHERE sign = 'sToP'",
        "SELECT id, count(f6) OVER (PARTITION BY sign) AS n FROM {}",
        "SELECT id, f6 FROM {} ORDER BY sign, id, f6",
        "SELECT id, f6 FROM {} ORDER BY sign, id LIMIT 3",
    ],
)
@pytest.mark.parametrize("relation", ["signs", "(SELECT id, sign FROM signs)"])
def test_collations_hold(collated, query, relation):
    call = CALL.replace("'odd'", f"'{relation}'")
    collated.con.execute(
        "CREATE OR REPLACE TEMP TABLE stored "
        "(id INTEGER, sign VARCHAR COLLATE NOCASE, f6 FLOAT[84]);"
        "INSERT INTO stored SELECT * FROM signs JOIN features USING (id)"
    )
    collated.query(f"CREATE OR REPLACE TEMP TABLE found AS {query.format(call)}").arrow()
    found = collated.con.sql("FROM found").fetchall()
    expected = collated.con.sql(query.format("stored")).fetchall()
    if "ORDER BY sign, id" not in query:
        found, expected = foods.sorted_rows(found), foods.sorted_rows(expected)
    assert found == expected


def test_a_collation_in_the_text_itself_holds(db):
    relation = "(SELECT id, text COLLATE NOCASE AS t FROM odd)"
    call = CALL.replace("'odd'", f"$${relation}$$")
    ((n,),) = db.query(f"SELECT count(f6) FROM {call} WHERE t = 'aB1'").fetchall()
    assert n == 1
