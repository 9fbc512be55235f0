"""What is known of the data before it is planned."""

from __future__ import annotations

import foods
import pytest

from vista_sql import facts, parse
from vista_sql.workload import Facts

T = "TRANSFER(cnn => 'lenet5', layers => ['f6'], {})"


@pytest.fixture(scope="module")
def db():
    with foods.connect() as session:
        session.con.execute(
            "CREATE TABLE fan AS SELECT unnest([1, 1, 1, 2, 9, 9, NULL, 50]) AS id, 1.5 AS price;"
            "CREATE TABLE paths AS SELECT i AS id, '/no/' || (i % 3) || '.png' AS p "
            "FROM range(9) AS r(i)"
        )
        yield session


def of(db, arguments, where=""):
    (statement,) = parse.parse(f"SELECT f6 FROM {T.format(arguments)} {where}")
    planner = db._planner(None)
    planner.expand(statement)
    return planner.transfers[-1].workload.facts


def test_small_images_are_told_by_their_bytes(db):
    found = of(db, "structured => 'fan'")
    size = db.con.sql("SELECT avg(octet_length(image)) FROM images").fetchall()[0][0]
    assert found == Facts(6, 6, 2, True, size, 12, 8)  # the images of 2 and 9 are the same


def test_predicates_and_limits_run_before(db):
    assert of(db, "structured => 'fan'", "WHERE id < 3").rows == 4
    assert of(db, "structured => 'fan'", "ORDER BY id LIMIT 2").rows == 2
    left = of(db, "structured => 'fan', join_type => 'left'")
    assert (left.rows, left.images) == (8, 6)


def test_paths_are_told_by_their_text(db):
    found = of(db, "images => 'paths'")
    assert found == Facts(9, 9, 3, True, None, 9, None)


def test_large_images_are_not_read(db, monkeypatch):
    monkeypatch.setattr(facts, "EXACT_BYTES", 100)
    asked = []
    counts = type(db._planner(None).database).counts
    monkeypatch.setattr(
        type(db._planner(None).database),
        "counts",
        lambda self, query: asked.append(query) or counts(self, query),
    )
    found = of(db, "structured => 'fan'")
    assert (found.rows, found.images, found.exact) == (6, 6, False)
    assert found.distinct_images == round(3 * 12 / 10)  # keys met, by the images of a key
    sides, rows = asked
    assert sides.count('"image"') == 1  # the sample's
    assert '"image"' not in rows
    alone = of(db, "images => 'images'")
    assert (alone.rows, alone.images, alone.distinct_images, alone.exact) == (12, 12, 12, False)


def test_what_is_inferred_is_not_counted(db):
    nested = "(SELECT id, f6[1] AS x FROM TRANSFER(cnn => ''lenet5'', layers => [''f6'']))"
    assert of(db, f"structured => '{nested}', prefix => 'p'") == Facts()
