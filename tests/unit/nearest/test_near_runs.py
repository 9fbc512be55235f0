"""Runs of vectors that memory has no room for, fed by several threads."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest

from vista_sql.errors import ModelError
from vista_sql.neighbors.duplicates import DuplicatesRun
from vista_sql.neighbors.map_places import PlacesRun
from vista_sql.neighbors.order import NearOrder
from vista_sql.neighbors.searching import NeighborsRun, OutliersRun

N, D = 400, 30


def batch(start, stop):
    x = np.random.default_rng(4).integers(0, 3, (N, D)).astype(np.float32)[start:stop]
    x[:, 0] += 1
    return pa.StructArray.from_arrays([pa.array(list(x))], names=["v"])


def result(kind, memory_bytes, threads):
    run = kind(NearOrder("F", threshold=0.15, k=4, memory_bytes=memory_bytes))
    numbers = np.empty(N, np.int64)

    def feed(start):
        first = run.feed(batch(start, start + 20))
        numbers[start : start + 20] = np.arange(first, first + 20)

    starts = list(range(0, N, 20))
    if threads:
        each = [threading.Thread(target=feed, args=(start,)) for start in starts[::-1]]
        for one in each:
            one.start()
        for one in each:
            one.join()
    else:
        for start in starts:
            feed(start)
    held = run.relations["data"].vectors.memory_bytes
    ranks = np.empty(N, np.int64)
    ranks[numbers] = np.arange(N)  # the key is the place in the data, however the rows came
    rows = run.finish({"data": ranks.tolist(), "others": None}).to_pylist()
    run.close()
    names = {name: ranks for name in ("row", "neighbor", "representative", "nearest")}
    renamed = [
        {k: int(ranks[v]) if k in names and v is not None else v for k, v in row.items()}
        for row in rows
    ]
    return sorted(renamed, key=lambda row: (row["row"], row.get("rank", 0))), held


@pytest.mark.parametrize("kind", [NeighborsRun, OutliersRun, DuplicatesRun])
def test_neither_memory_nor_the_order_of_rows_matters(kind):
    whole, held = result(kind, 1 << 24, threads=False)
    spooled, left = result(kind, 1 << 16, threads=True)
    assert whole == spooled
    assert len(whole) > 20
    assert (held, left) == (N * D * 4, 0)


def test_maps_of_which_a_batch_has_none_are_left_out():
    run = PlacesRun(NearOrder("VISTA_OUTLIERS", metric="l2", k=1, places=(3, 2)))
    kind = pa.list_(pa.float32())
    for maps in ([None, None], [[0.0] * 12, [1.0] * 12]):
        run.feed(pa.StructArray.from_arrays([pa.array(maps, kind)], names=["v"]))
    found = run.finish({"data": [0, 1, 2, 3], "others": None}).to_pylist()
    run.close()
    assert [(row["row"], row["nearest"]) for row in found] == [(2, 3), (3, 2)]
    np.testing.assert_allclose(found[0]["heatmap"], np.full((3, 2), 2**0.5), rtol=1e-6)  # float32


def test_rows_that_went_missing_are_noticed():
    run = NeighborsRun(NearOrder("VISTA_NEIGHBORS"))
    run.feed(batch(0, 20))
    with pytest.raises(ModelError, match="21 rows were sent to VISTA_NEIGHBORS and 20 came"):
        run.finish({"data": list(range(21)), "others": None})
