"""A ranking fed by batches: in any order, in little memory, with rows that cannot be used."""

import numpy as np
import pyarrow as pa
import pytest

from vista_sql.errors import ModelError
from vista_sql.ranking.run import RankRun
from vista_sql.ranking.spec import Network, RankSpec
from vista_sql.train.spec import TrainSpec

N = 400
LAYERS = (("low", "low"), ("top", "net.top"))
NETWORKS = (
    Network("net", "a", "r0", LAYERS, "said"),
    Network("net", "b", "r1", LAYERS[1:]),
)


def rows(seed=0, n=N):
    """Rows as a TRANSFER would return them; the upper layer says more of y than the lower."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    means = rng.standard_normal((3, 12))
    said = rng.random((n, 4)).astype(np.float32) + 2 * (y[:, None] == np.arange(4))
    columns = {
        "id": pa.array(range(n)),
        "y": pa.array(["cat", "dog", "eel"]).take(pa.array(y)),
        "words": pa.array(["so"] * n),
        "price": pa.array(rng.standard_normal(n)),
        "low": lists(means[y] + 3 * rng.standard_normal((n, 12))),
        "net.top": lists(means[y, :8] + rng.standard_normal((n, 8))),
        "said": lists(said / said.sum(axis=1, keepdims=True)),
        "error": pa.nulls(n, pa.string()),
    }
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))


def lists(x):
    return pa.FixedSizeListArray.from_arrays(pa.array(x.astype(np.float32).ravel()), x.shape[1])


def ranked(batches, networks=NETWORKS, memory_bytes=1 << 30, **options):
    spec = RankSpec(networks, TrainSpec("m", "y", memory_bytes=memory_bytes), **options)
    run = RankRun(RankSpec.from_fields({**_fields(spec)}))
    try:
        for relation in dict.fromkeys(network.relation for network in networks):
            for batch in batches:
                run.feed(batch, relation)
        found = run.finish(sum(map(len, batches)) * len({n.relation for n in networks}))
        hidden = ("seconds", "mean")
        return [{k: v for k, v in row.items() if k not in hidden} for row in found], run
    finally:
        run.close()


def _fields(spec):
    import json

    return json.loads(spec.to_text())["rank"]


SCORES = ("knn_accuracy", "h_score", "logme", "leep", "nce")


def scores(found):
    return [[row[score] for score in SCORES] for row in found]


def close(values):
    return [[v if v is None else pytest.approx(v, rel=1e-9) for v in row] for row in values]


def test_rows_are_scored_whatever_their_order_and_the_memory():
    whole = rows()
    expected, _ = ranked([whole])
    assert [(row["weights"], row["layer"]) for row in expected] == [
        ("a", "top"), ("b", "top"), ("a", "low"),
    ]  # fmt: skip
    assert expected[1]["leep"] is None  # no classifier is known
    order = np.random.default_rng(1).permutation(N)
    shuffled = whole.take(pa.array(order))
    found, _ = ranked([shuffled.slice(0, 100), shuffled.slice(100)])
    assert scores(found) == close(scores(expected))
    found, run = ranked([whole.slice(i, 50) for i in range(0, N, 50)], memory_bytes=1 << 15)
    assert all(part.rows.spooled for part in run._parts.values())
    assert scores(found) == close(scores(expected))


def test_a_gram_that_memory_does_not_hold_is_a_warning():
    found, _ = ranked([rows()], NETWORKS[1:], memory_bytes=1000)
    assert found[0]["h_score"] is None
    assert found[0]["knn_accuracy"] > 0.5
    assert "h_score and logme need" in found[0]["warning"]


def test_rows_without_features_are_counted_and_text_has_no_part():
    whole = rows()
    columns = dict(zip((f.name for f in whole.type), whole.flatten(), strict=True))
    values = [None if i < 40 else v for i, v in enumerate(columns["low"].to_pylist())]
    columns["low"] = pa.array(values, columns["low"].type)
    found, _ = ranked([pa.StructArray.from_arrays(list(columns.values()), names=list(columns))],
                      NETWORKS[:1])  # fmt: skip
    assert found[0]["n"] == N - 40
    assert found[0]["warning"].startswith("40 of 400 rows are skipped")


def test_what_a_last_layer_says_is_no_class_where_it_is_no_distribution():
    (low,) = [Network("net", "a", "r0", LAYERS[1:], "low")]
    found, _ = ranked([rows()], (low,))
    assert (found[0]["leep"], found[0]["nce"]) == (None, None)


def test_rows_that_went_missing_are_an_error():
    run = RankRun(RankSpec(NETWORKS[:1], TrainSpec("m", "y")))
    run.feed(rows(n=30), "r0")
    with pytest.raises(ModelError, match="31 rows were sent"):
        run.finish(31)
    run.close()
