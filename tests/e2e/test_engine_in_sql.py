"""engine => …: the same statement by each engine, what keeps their features apart, what tells."""

from __future__ import annotations

import duckdb
import foods
import numpy as np
import pytest
from processors import HAS_BFLOAT16, needs_bfloat16

import vista_sql
from vista_sql import kernels
from vista_sql.errors import EngineWarning, ModelError, QueryError, SettingError
from vista_sql.hosts import engines
from vista_sql.planning.engines import Engines

ENGINES = ("tensorflow", "openvino")
CALL = "TRANSFER(cnn => 'lenet5', layers => ['conv2', 'f6'], weights => 'random'{})"
SELECT = f"SELECT id, conv2, f6 FROM {CALL} ORDER BY ALL"


def rows(db, text):
    return db.query(text).arrow().to_pylist()


def by(engine, *more):
    return SELECT.format("".join(f", {one}" for one in (f"engine => '{engine}'", *more)))


@pytest.mark.parametrize("layer", ["conv2", "f6"])
def test_engines_agree_to_the_last_bits_of_the_largest_value(foods_db, layer):
    found = []
    for engine in ENGINES:
        features = [row[layer] for row in rows(foods_db, by(engine)) if row[layer]]
        found.append(np.array(features, np.float32))
    assert found[0].shape == found[1].shape
    assert 0 < np.abs(found[0] - found[1]).max() <= 1e-5 * np.abs(found[0]).max()


def test_the_store_keeps_engines_apart(fresh_db, tmp_path):
    store = f"store => '{tmp_path / 'kept'}'"
    first = {engine: rows(fresh_db, by(engine, store)) for engine in ENGINES}
    inferred = [run["images_inferred"] for run in rows(fresh_db, "FROM VISTA_RUNS() LIMIT 2")]
    assert inferred[0] == inferred[1] > 0
    assert first["tensorflow"] != first["openvino"]
    for engine in ENGINES:
        assert rows(fresh_db, by(engine, store)) == first[engine]
        (run,) = rows(fresh_db, "FROM VISTA_RUNS() LIMIT 1")
        assert run["images_inferred"] == 0
    held = rows(fresh_db, f"FROM VISTA_STORE({store})")
    for engine in ENGINES:
        made = [part for part in held if engine in part["made_by"]]
        assert sorted(part["layer"] for part in made) == ["c3", "f6"]


def test_a_plan_says_who_runs_the_network_and_why(fresh_db, monkeypatch):
    text = "SELECT fc6 FROM TRANSFER(cnn => 'lenet5')"
    fact = f"SELECT detail, why FROM VISTA_EXPLAIN($${text}$$) WHERE item = 'engine'"
    assert rows(fresh_db, fact) == [{"detail": "openvino", "why": "the faster one on a CPU"}]
    assert "  engine: openvino (the faster one on a CPU)" in fresh_db.explain(text)
    monkeypatch.setenv("VISTA_SQL_ENGINE", "tensorflow")
    assert rows(fresh_db, fact)[0]["why"] == "as given: VISTA_SQL_ENGINE"
    fresh_db.query("SET VARIABLE vista_engine = 'openvino'")
    assert rows(fresh_db, fact)[0]["why"] == "as given: SET VARIABLE vista_engine"
    given = fact.replace("'lenet5'", "'lenet5', engine => 'TensorFlow'")
    assert rows(fresh_db, given) == [{"detail": "tensorflow", "why": "as given: engine => …"}]


@pytest.mark.parametrize("engine", ENGINES)
def test_macros_take_it(engine):
    with duckdb.connect() as con:
        foods.fill(con)
        vista_sql.attach(con)
        found = con.sql(by(engine)).to_arrow_table().to_pylist()
        assert found == vista_sql.query(by(engine), con=con).arrow().to_pylist()


def test_what_cannot_be_is_one_sentence(foods_db):
    with pytest.raises(SettingError, match="a GPU needs engine => 'tensorflow'"):
        rows(foods_db, by("openvino", "device => 'gpu'"))
    with pytest.raises(QueryError, match="did you mean 'tensorflow'"):
        rows(foods_db, by("tensorflo"))


OWN = "cnn => 'lenet5', layers => ['f6'], images => 'pictures', weights => 'random'"
NEW = "images => 'pictures', structured => 'facts'"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    with foods.connect() as db:
        db.con.execute(
            f"SET VARIABLE vista_home = '{tmp_path_factory.mktemp('home')}';"
            "CREATE TABLE pictures AS SELECT row_number() OVER () AS id, image "
            "FROM images, range(4) WHERE id <> 4 AND image IS NOT NULL;"
            "CREATE TABLE facts AS SELECT id, id % 2 = 0 AS even FROM pictures"
        )
        for dtype in ("float32", "bfloat16") if HAS_BFLOAT16 else ("float32",):
            rows(
                db,
                f"FROM VISTA_TRAIN(model => '{dtype}', label => 'even', max_iterations => 5, "
                f"engine => 'openvino', dtype => '{dtype}', structured => 'facts', {OWN})",
            )
        yield db


def predicted(db, model, data=NEW):
    found = rows(db, f"SELECT probability FROM VISTA_PREDICT('{model}/f6', {data}) ORDER BY id")
    return [row["probability"] for row in found]


def test_a_model_remembers_its_engine(trained, monkeypatch):
    kept = rows(trained, "SELECT DISTINCT name, engine FROM VISTA_MODELS() WHERE cnn IS NOT NULL")
    assert {row["engine"] for row in kept} == {"openvino"}
    expected = predicted(trained, "float32")
    monkeypatch.setenv("VISTA_SQL_ENGINE", "tensorflow")
    assert predicted(trained, "float32") == expected
    assert predicted(trained, "float32", f"{NEW}, engine => 'auto'") == expected
    with pytest.raises(QueryError, match="was trained with engine => 'openvino'"):
        predicted(trained, "float32", f"{NEW}, engine => 'tensorflow'")


TRANSFER = f"TRANSFER({OWN}, structured => 'facts', dtype => '%s', engine => 'tensorflow')"
NESTED = f"data => $$SELECT * FROM {TRANSFER}$$"


@needs_bfloat16
def test_without_the_models_engine_float32_warns_and_bfloat16_is_an_error(trained, monkeypatch):
    expected = predicted(trained, "float32")
    with pytest.warns(EngineWarning, match="features of engine 'openvino', and the data's are of"):
        other = predicted(trained, "float32", NESTED % "float32")
    assert other == pytest.approx(expected, abs=1e-4)
    with pytest.raises(ModelError, match="rounds bfloat16 differently: take engine => 'openvino'"):
        predicted(trained, "bfloat16", NESTED % "bfloat16")
    monkeypatch.setattr(engines, "here", lambda: Engines(frozenset({"tensorflow"})))
    with pytest.warns(EngineWarning, match="and the data's are of 'tensorflow'"):
        assert predicted(trained, "float32") == pytest.approx(expected, abs=1e-4)
    with pytest.raises(ModelError, match="rounds bfloat16 differently"):
        predicted(trained, "bfloat16")


def test_a_worker_need_not_choose_again():
    spec = kernels.InferSpec("lenet5", ("f6",), engine="openvino")
    assert '"engine":"openvino"' in spec.to_text()
    assert kernels.InferSpec.from_text(spec.to_text()) == spec
    assert "engine" not in kernels.InferSpec("lenet5", ("f6",)).to_text()
