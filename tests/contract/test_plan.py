"""What holds for every plan; a new one is found and checked without an edit here."""

from __future__ import annotations

import cv2
import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

import vista_sql
from vista_sql import roster
from vista_sql.planning import plans
from vista_sql.planning.plans import Infer, Pool, Sort
from vista_sql.planning.workload import Relation, Tap, Workload
from vista_sql.sql.needs import Needs

every_plan = pytest.mark.parametrize("name", plans.names())
LENET = roster.load("lenet5")
STATEMENT = """
    SELECT id, weight, conv2, pool2, conv3, fc6
    FROM TRANSFER(cnn => 'lenet5', images => 'pictures', structured => 'facts',
                  layers => ['conv2', 'pool2', 'conv3', 'fc6'], plan => '{}', placement => '{}')
    ORDER BY id, weight"""


def workload(*columns):
    layers = {layer.name: layer for layer in LENET.layers}
    asked = ("conv2", "pool2", "conv3", "fc6")
    taps = tuple(
        Tap(name, layers[LENET.canonical(name)], layers[LENET.canonical(name)].size)
        for name in asked
    )
    found = Workload(
        cnn=LENET, taps=taps, images=Relation("pictures"), image_key="id", image_column="image",
        structured=None, structured_key="id", join_type="inner", pool="max2x2", format="wide",
        prefix="", weights=None, seed=0, dtype="float32", device="auto", on_error="null",
    )  # fmt: skip
    return replace(found, needs=Needs(frozenset(columns)))


@every_plan
def test_facts_fit_together(name):
    plan = plans.load(name)
    assert plan.name == name
    assert plan.meaning


@every_plan
def test_equal_workloads_get_equal_stages(name):
    asked = workload("conv2", "fc6")
    assert plans.load(name).stages(asked) == plans.load(name).stages(asked)


@every_plan
def test_unused_layers_are_not_computed(name):
    stages = plans.load(name).stages(workload("conv2", "fc6"))
    assert leaving(stages) == [LENET.canonical("conv2"), LENET.canonical("fc6")]
    assert plans.load(name).stages(workload("id")) == ()


def leaving(stages):
    """Return the layers whose features the stages give; maps come from where they are said to."""
    maps, features = set(), []
    for stage in stages:
        match stage:
            case Infer(start, layers, form):
                assert start is None or start.name in maps
                if form == "maps":
                    maps |= {layer.name for layer in layers}
                else:
                    features += [layer.name for layer in layers]
            case Pool(layer):
                assert layer.name in maps
                features.append(layer.name)
            case Sort():
                pass
    return features


@pytest.fixture(scope="module")
def db():
    pixels = np.random.default_rng(4).integers(0, 256, (9, 8, 8), dtype=np.uint8)
    blobs = [cv2.imencode(".png", image)[1].tobytes() for image in pixels]
    pictures = pa.table({"id": [*range(9), None, 9], "image": [*blobs, blobs[0], None]})
    keys = [8, 1, 1, 4, 9, 40, None, 0]
    facts = pa.table({"id": keys, "weight": [float(i) for i in range(len(keys))]})
    with vista_sql.connect() as session:
        session.con.execute("CREATE TABLE pictures AS SELECT * FROM pictures")
        session.con.execute("CREATE TABLE facts AS SELECT * FROM facts")
        yield session
    del pictures, facts  # DuckDB found them by their names


@pytest.fixture(scope="module")
def expected(db):
    return db.query(STATEMENT.format("fused", "after")).arrow()


@every_plan
@pytest.mark.parametrize("placement", ["after", "before"])
def test_rows_and_features_are_the_same_to_the_last_bit(name, placement, db, expected):
    found = db.query(STATEMENT.format(name, placement)).arrow()
    assert found["id"].to_pylist() == [0, 1, 1, 4, 8, 9]
    assert found == expected
