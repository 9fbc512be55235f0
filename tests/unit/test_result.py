"""A Result is run once: streamed, or kept and read in any form."""

from __future__ import annotations

import sys
import types

import foods
import numpy as np
import pyarrow as pa
import pytest

from vista_sql.errors import HostError, PlanError, QueryError, UnknownNameError
from vista_sql.result import Result, arrays

CALL = "TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => 'foods', join_type => 'left')"


@pytest.fixture
def result(foods_db):
    return foods_db.query(f"SELECT id, price, f6 FROM {CALL} ORDER BY price, name, f6")


def test_kept_rows_can_be_read_in_every_form(result):
    table = result.arrow()
    assert isinstance(table, pa.Table)
    assert len(result) == len(table) == 14
    rows = result.fetchall()
    assert [(*row[:2], row[2] and list(row[2])) for row in rows] == [
        tuple(row.values()) for row in table.to_pylist()
    ]
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
    assert features.tolist() == [list(f) for _, f in kept]


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


def test_numpy_asks_for_the_key(foods_db):
    with pytest.raises(QueryError, match="the first column, 'f6', holds features"):
        foods_db.query(f"SELECT f6 FROM {CALL}").numpy()


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


def test_a_reader_keeps_its_result(foods_db):
    text = f"SELECT id, f6 FROM {CALL}"
    expected = foods_db.query(text).arrow().num_rows
    assert sum(batch.num_rows for batch in foods_db.query(text)) == expected
    assert sum(batch.num_rows for batch in foods_db.query(text).reader(2)) == expected
    runs = foods_db.query("SELECT rows FROM VISTA_RUNS() LIMIT 2").fetchall()
    assert runs == [(expected,), (expected,)]
    assert next(iter(foods_db.query(text).reader(2))).num_rows == 2  # and no further
    assert foods_db.query("SELECT rows > 0 FROM VISTA_RUNS() LIMIT 1").fetchall() == [(True,)]


def test_the_batches_of_a_result_as_a_list(foods_db):
    text = f"SELECT id, f6 FROM {CALL}"
    batches = list(foods_db.query(text))
    assert sum(batch.num_rows for batch in batches) == len(foods_db.query(text))


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


def test_polars(result):
    frame = result.pl()
    assert frame.columns == ["id", "price", "f6"]
    assert str(frame.schema["f6"]) == "Array(Float32, shape=(84,))"
    assert frame["f6"].to_list() == [row[2] and list(row[2]) for row in result.fetchall()]


def test_missing_libraries_are_named(foods_db, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(HostError, match=r"pip install 'vista-sql\[polars\]'"):
        foods_db.query("SELECT 1 AS a").pl()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(HostError, match="pip install torch"):
        foods_db.query("SELECT 1 AS a").torch()


def test_arrows_protocol_streams_the_rows(result):
    table = pa.table(result)
    assert table.num_rows == 14
    with pytest.raises(HostError, match="streamed already"):
        pa.table(result)


BATCHES = f"""SELECT id, f6, error, name, price, "Is Healthy" AS is_healthy, price::DOUBLE AS cost
    FROM {CALL} WHERE id IS NOT NULL AND name <> 'dates' ORDER BY price, name, f6"""


def rows_of(dataset):
    """Return a dataset's batches as one list of rows, and their sizes."""
    found, sizes = [], []
    for batch in dataset:
        columns = [
            value.tolist() if hasattr(value, "tolist") else value for value in batch.values()
        ]
        found += zip(*columns, strict=True)
        sizes.append(len(columns[0]))
    return found, sizes


def expected_rows(db):
    """Return the rows of BATCHES that have features, as Python has them."""
    rows = [row for row in db.query(BATCHES).fetchall() if row[1] is not None]
    return [(row[0], list(row[1]), *row[2:4], float(row[4]), *row[5:]) for row in rows]


class Torch(types.ModuleType):
    """What `.torch()` uses of PyTorch, over NumPy: tensors are taken over by DLPack."""

    def __init__(self, worker=None):
        super().__init__("torch")
        self.from_dlpack = np.from_dlpack
        dataset = type("IterableDataset", (), {})
        data = types.SimpleNamespace(IterableDataset=dataset, get_worker_info=lambda: worker)
        self.utils = types.SimpleNamespace(data=data)


def test_torch_takes_batches_by_dlpack(foods_db, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", Torch())
    dataset = foods_db.query(BATCHES).torch(rows=4)
    assert isinstance(dataset, sys.modules["torch"].utils.data.IterableDataset)
    found, sizes = rows_of(dataset)
    assert found == expected_rows(foods_db)
    assert max(sizes) <= 4
    with pytest.raises(HostError, match="streamed already"):
        next(iter(dataset))
    kept = foods_db.query(BATCHES)
    kept.arrow()
    dataset = kept.torch(rows=4)
    assert rows_of(dataset) == rows_of(dataset)  # epochs
    monkeypatch.setitem(sys.modules, "torch", Torch(worker=object()))
    with pytest.raises(HostError, match="num_workers=0"):
        next(iter(kept.torch()))


@pytest.mark.full
def test_torch_itself(foods_db):
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(foods_db.query(BATCHES).torch(rows=4), batch_size=None)
    first = next(iter(foods_db.query(BATCHES).torch()))
    assert (first["f6"].dtype, first["is_healthy"].dtype) == (torch.float32, torch.bool)
    assert first["f6"].shape[1:] == (84,)
    assert rows_of(loader)[0] == expected_rows(foods_db)


def test_batches_are_arrows_own_memory(foods_db):
    (batch,) = foods_db.query("SELECT 1.5::FLOAT AS a, [1, 2]::FLOAT[2] AS f").arrow().to_batches()
    made = arrays(batch, {"a": "FLOAT", "f": "FLOAT[2]"})
    assert made["a"].ctypes.data == batch.column(0).buffers()[1].address
    assert made["f"].ctypes.data == batch.column(1).values.buffers()[1].address


def test_a_dataset_for_tensorflow(foods_db):
    dataset = foods_db.query(BATCHES).tf(rows=4)
    spec = dataset.element_spec
    assert spec["f6"].shape == (None, 84)
    assert spec["is_healthy"].dtype.name == "bool"
    found, sizes = rows_of(
        {name: value.numpy() for name, value in batch.items()} for batch in dataset
    )
    texts = [(*row[:2], row[2].decode(), row[3].decode(), *row[4:]) for row in found]
    assert [(*row[:2], row[2] or None, *row[3:]) for row in texts] == expected_rows(foods_db)
    assert max(sizes) <= 4
    for _ in foods_db.query(BATCHES).tf(rows=2):
        break  # what is left of the statement goes with the dataset
    assert foods_db.query("SELECT 1").fetchall() == [(1,)]


def test_keras_trains_on_the_dataset_while_it_is_inferred(foods_db):
    import keras

    dataset = foods_db.query(f"SELECT f6, price::FLOAT AS price FROM {CALL} WHERE price > 0")
    model = keras.Sequential([keras.Input((84,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    pairs = dataset.tf(rows=3).map(lambda batch: (batch["f6"], batch["price"])).prefetch(1)
    losses = [model.train_on_batch(features, prices) for features, prices in pairs]
    assert len(losses) >= 3
    assert np.isfinite(losses).all()


def test_what_no_tensor_holds_is_named(foods_db, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", Torch())
    dated = foods_db.query("SELECT id, made FROM foods")
    for call in (dated.torch, dated.tf):
        with pytest.raises(QueryError, match="column 'made' is DATE, which cannot be a tensor"):
            call()
    holes = foods_db.query("SELECT id, price::FLOAT AS price FROM foods ORDER BY price")
    with pytest.raises(QueryError, match=r"column 'id' has a NULL.*WHERE id IS NOT NULL"):
        rows_of(holes.torch())
    prices, _ = rows_of(foods_db.query("SELECT price::FLOAT AS p FROM foods ORDER BY p").torch())
    assert np.isnan(prices[-1][0])
    ragged = foods_db.query("FROM (VALUES ([1.5::FLOAT]), ([1, 2, 3.0::FLOAT])) AS v(f)")
    with pytest.raises(QueryError, match="rows of 'f' differ in length"):
        rows_of(ragged.torch())
    assert rows_of(foods_db.query("SELECT id FROM foods WHERE false").torch()) == ([], [])


def test_rows_are_kept_up_to_what_is_left():
    def result(kept_bytes):
        batch = pa.record_batch({"x": pa.array(range(1000), pa.int64())})
        return Result([("x", "BIGINT")], lambda _: iter([batch] * 4), kept_bytes=kept_bytes)

    assert len(result(4 * 8000)) == 4000
    with pytest.raises(PlanError, match=r"takes more than the .* read them in batches"):
        result(3 * 8000).arrow()
    assert sum(batch.num_rows for batch in result(8000)) == 4000, "streams hold nothing"
