"""Rows that stay elsewhere are trained on as rows that are here, and do not come."""

import pickle
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from vista_sql.errors import ModelError
from vista_sql.train import near_duplicates, training
from vista_sql.train.encoded import encoded
from vista_sql.train.remote import answers
from vista_sql.train.spec import TrainSpec
from vista_sql.train.training import TrainingRun

N = 240


class Elsewhere:
    """A cluster of a few parts in this process, to which all travels pickled."""

    def __init__(self, table, parts=3, batch=50):
        bounds = np.linspace(0, len(table), parts + 1).astype(int)
        self.parts = [table.slice(a, b - a) for a, b in pairwise(bounds)]
        self.batch, self.bytes_received, self.fetched = batch, 0, 0
        self.kept, self.closed = [], False

    def encoded(self, spec):
        spec = pickle.loads(pickle.dumps(spec))
        for part in self.parts:
            batches = (
                dict(zip(b.schema.names, b.columns, strict=True))
                for b in part.to_batches(self.batch)
            )
            pieces = list(encoded(spec, batches))
            self.kept.append(
                [
                    (piece.records.tobytes(), piece.hashes, piece.keys)
                    for piece in pieces
                    if len(piece.hashes)
                ]
            )
            yield from (pickle.loads(pickle.dumps(piece.summary)) for piece in pieces)

    def answers(self, order):
        for part in self.kept:
            there = pickle.loads(pickle.dumps(order))
            for found in answers(there, [records for records, _, _ in part]):
                message = pickle.dumps(found)
                self.bytes_received += len(message)
                yield pickle.loads(message)

    def records(self):
        for part in self.kept:
            for records, _, _ in part:
                self.fetched += len(records)
                yield records

    def keys(self, hashes):
        found = {}
        for _, ours, keys in (piece for part in self.kept for piece in part):
            for row_hash, key in zip(ours.tolist(), keys.to_pylist(), strict=True):
                if row_hash in hashes and key is not None:
                    found[row_hash] = key
        return found

    def close(self):
        self.closed = True


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, N)
    y[:6] = 3  # a small class, whose rows are put in their places
    layer = rng.normal(size=(N, 40)) + y[:, None] * 0.3
    layer[100] = layer[101] + 1e-4  # nearly the same image
    layer[102] = layer[103]  # the same
    price = rng.normal(5, 2, N)
    price[rng.random(N) < 0.1] = np.nan
    return pa.table(
        {
            "id": pa.array([f"k{i}" for i in range(N)]),
            "y": pa.array([None if i % 97 == 5 else f"c{v}" for i, v in enumerate(y)]),
            "value": y + rng.normal(size=N),
            "price": pa.array(price, from_pandas=True),
            "city": pa.array([["Rom", "Ulm", None, f"v{i % 40}"][i % 4] for i in range(N)]),
            "flag": y > 1,
            "a": pa.array(list(layer), pa.list_(pa.float32())),
            "b": pa.array(list(layer[:, :20] ** 2), pa.list_(pa.float64())),
            "error": pa.nulls(N, pa.string()),
        }
    )


def both(table, tmp_path, memory_bytes=1 << 20, **arguments):
    """Return rows, document and arrays of a training here, of one elsewhere, and the cluster."""
    arguments = {"label": "y", "exclude": ("value",), "missing": "mean", "max_iterations": 15} | (
        arguments
    )
    spec = {"model": "m", "categorical": "one_hot", "run": "r", **arguments}
    found = []
    for place in ("here", "elsewhere"):
        cluster = Elsewhere(table)
        home = str(tmp_path / place)
        run = TrainingRun(TrainSpec(**spec, home=home, memory_bytes=memory_bytes))
        if place == "here":
            for batch in table.to_batches(64):
                run.feed(batch.to_struct_array())
            n_rows = table.num_rows
        else:
            n_rows = run.take(cluster)
        rows = run.finish(n_rows)
        run.close()
        found.append((rows, training.models.document(home, "m", 1), models_of(home)))
    return *found, cluster


def models_of(home):
    document = training.models.document(home, "m", 1)
    found = [training.models.find(home, f"m/{row['part']}@1") for row in document["rows"]]
    return [model.arrays() for model in found]


def same(here, elsewhere):
    rows, document, arrays = here
    for one, other in zip(rows, elsewhere[0], strict=True):
        assert one["model"] == other["model"]
        for name, value in one.items():
            if name in ("seconds", "iterations"):
                continue
            if isinstance(value, float):
                assert other[name] == pytest.approx(value, abs=1e-6), name
            elif name not in ("fill", "points", "roc"):
                assert other[name] == value, name
    for name in ("classes", "skipped", "n_rows", "label", "key", "label_type", "fingerprint"):
        assert document[name] == elsewhere[1][name], name
    for kind in ("mistakes", "surest"):
        assert [one["key"] for one in document.get(kind, ())] == [
            one["key"] for one in elsewhere[1].get(kind, ())
        ]
    for one, other in zip(arrays, elsewhere[2], strict=True):
        for name, values in one.items():
            np.testing.assert_allclose(other[name], values, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"folds": 3, "baselines": ("structured", "tree")},
        {"select_fraction": (0.1, 0.3), "class_weight": "balanced", "baselines": ()},
        {"trainer": "linear", "label": "value", "exclude": ("y",), "folds": 2},
        {"standardize": False, "key": "id", "reg": (0.1, 0.01), "by_layer": False},
    ],
    ids=["split", "folds and a tree", "selection", "numbers", "raw"],
)
def test_models_and_rows_are_those_of_a_training_here(table, tmp_path, arguments, monkeypatch):
    monkeypatch.setattr(training, "IN_MEMORY_SHARE", 0.0)
    here, elsewhere, cluster = both(table, tmp_path, 1 << 26, **arguments)
    same(here, elsewhere)
    assert cluster.fetched == 0
    assert cluster.closed


def test_few_rows_come_here(table, tmp_path):
    here, elsewhere, cluster = both(table, tmp_path, 1 << 26)
    same(here, elsewhere)
    assert cluster.fetched > N * 40 * 4
    assert cluster.bytes_received == 0


def test_nearly_equal_images_are_told(table, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "IN_MEMORY_SHARE", 0.0)
    monkeypatch.setattr(near_duplicates, "NEAR", 0.5)
    here, elsewhere, _ = both(table, tmp_path, 1 << 26, folds=2)
    assert any("nearly equal" in (row["warning"] or "") for row in here[0])
    same(here, elsewhere)


def test_what_is_wrong_elsewhere_is_said_as_here(table):
    short = table.set_column(
        table.schema.get_field_index("b"), "b", pa.array([[1.0]] * (N - 1) + [[1.0, 2.0]])
    )
    spec = TrainSpec("m", "y", exclude=("city", "value"), missing="mean")
    with pytest.raises(ModelError, match="column 'b' holds lists of 1 and of 2 values"):
        TrainingRun(spec).take(Elsewhere(short))
    with pytest.raises(ModelError, match="column 'city' has type text"):
        TrainingRun(TrainSpec("m", "y", exclude=("value",))).take(Elsewhere(table))
    nothing = TrainingRun(spec)
    with pytest.raises(ModelError, match="the data to train on has no rows"):
        nothing.finish(nothing.take(Elsewhere(table.slice(0, 0))))
