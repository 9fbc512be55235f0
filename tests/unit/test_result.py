"""A Result is run once: streamed, or kept and read in any form."""

from __future__ import annotations

import foods
import numpy as np
import pyarrow as pa
import pytest

from vista_sql.errors import HostError, QueryError, UnknownNameError

CALL = "TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => 'foods', join_type => 'left')"


@pytest.fixture
def result(foods_db):
    return foods_db.query(f"SELECT id, price, f6 FROM {CALL} ORDER BY price, name, f6")


def test_kept_rows_can_be_read_in_every_form(result):
    table = result.arrow()
    assert isinstance(table, pa.Table)
    assert len(result) == len(table) == 14
    rows = result.fetchall()
    assert rows == [tuple(row.values()) for row in table.to_pylist()]
    assert result.fetchone() == rows[0]
    frame = result.df()
    assert list(frame.columns) == result.columns == ["id", "price", "f6"]
    assert result.types[2] == "FLOAT[84]"
    assert result.reader(5).read_all().equals(table)
    assert sum(batch.num_rows for batch in result) == 14


def test_numpy_leaves_out_rows_without_features(result):
    ids, features = result.numpy()
    assert features.dtype == np.float32
    assert features.shape == (10, 84)
    kept = [(row[0], row[2]) for row in result.fetchall() if row[2] is not None]
    assert [None if np.isnan(i) else int(i) for i in ids] == [i for i, _ in kept]
    assert features.tolist() == [f for _, f in kept]


def test_numpy_asks_which_layer(foods_db):
    both = foods_db.query(f"SELECT id, f6, f6 AS g, price FROM {CALL}")
    with pytest.raises(QueryError, match=r"name one of .* f6, g"):
        both.numpy()
    with pytest.raises(UnknownNameError, match="unknown feature column 'price'"):
        both.numpy("price")
    assert both.numpy("F6")[1].shape == (10, 84)
    with pytest.raises(QueryError, match="none"):
        foods_db.query(f"SELECT id FROM {CALL}").numpy()
    ragged = foods_db.query(
        "SELECT 1 AS id, [1.5::FLOAT] AS f UNION ALL SELECT 2, [1, 2, 3.0::FLOAT]"
    )
    with pytest.raises(QueryError, match="differ in length"):
        ragged.numpy()


def test_numpy_of_no_rows(foods_db):
    ids, features = foods_db.query(f"SELECT id, f6 FROM {CALL} WHERE price > 100").numpy()
    assert len(ids) == len(features) == 0


def test_streamed_rows_are_gone(result):
    assert sum(batch.num_rows for batch in result.reader(3)) == 14
    with pytest.raises(HostError, match="streamed already; run the statement again"):
        result.arrow()
    with pytest.raises(HostError):
        next(iter(result))


def test_batches_have_at_most_the_rows_asked_for(foods_db):
    result = foods_db.query(f"SELECT id, f6 FROM {CALL}")
    sizes = [batch.num_rows for batch in result.reader(4)]
    assert sum(sizes) == 14
    assert max(sizes) <= 4


def test_several_results_are_open_at_once(foods_db):
    text = f"SELECT id, f6 FROM {CALL} ORDER BY price, name, f6"
    first, second = foods_db.query(text), foods_db.query(text)
    assert second.fetchall() == first.fetchall()


def test_a_dropped_result_leaves_nothing(foods_db):
    foods_db.query(f"SELECT f6 FROM {CALL}")
    reader = foods_db.query(f"SELECT f6 FROM {CALL}").reader(2)
    next(iter(reader))
    del reader
    foods_db.query("SELECT 1")  # the connection may have been busy when the reader went
    assert foods.leftovers(foods_db.con) == []


def test_show_and_repr(result, capsys):
    result.show(3)
    assert "price" in capsys.readouterr().out
    assert repr(result).startswith(
        "<vista_sql.Result (id INTEGER, price DECIMAL(3,1), f6 FLOAT[84]"
    )


def test_statements_without_rows_give_an_empty_result(fresh_db):
    assert fresh_db.query("CREATE TABLE t (a INTEGER)").fetchall() == []
    assert fresh_db.query("CREATE TABLE u (a INTEGER); SELECT count(*) FROM u").fetchall() == [(0,)]
    assert fresh_db.query("INSERT INTO t VALUES (1)").fetchall() == [(1,)]
