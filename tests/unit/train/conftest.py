"""The VISTA_TRAIN family on a plain DuckDB connection: its kernels, and its expanded text."""

from __future__ import annotations

import importlib
import inspect
import itertools
from types import SimpleNamespace

import duckdb
import pytest
from vista_sql.udfs.passes.runtime import Runtime

from vista_sql.functions import _provenance
from vista_sql.settings import Settings
from vista_sql.sql.calls import Call, load
from vista_sql.sql.dialect import DUCKDB


class PlannerStub:
    """Plans as a session does, with relations as they are."""

    calls_in_sql = True
    dialect = DUCKDB

    def __init__(self, home: str) -> None:
        self.home = home
        self._names = itertools.count()

    def feeding(self, call, gate=""):
        return self

    def resolved(self, call):
        return call

    def setting(self, name, call):
        return Settings({}, {}).value(name, call.get(name))

    def relation(self, text, call, argument):
        return f"({text})" if text.upper().startswith(("SELECT", "FROM")) else text

    def transferred(self, call, function, *, features):
        self.own = call.checked()
        return "the_transfer"

    def engine(self, call):
        return "tensorflow"

    def can_run(self, engine):
        return True

    def fenced(self, relation):
        return relation

    def new_run(self):
        return "statement"

    def fresh_name(self, role):
        return f"__vista_{next(self._names)}_{role}"


class Sql:
    """A connection with the kernels, and the functions of the family called by name."""

    def __init__(self, home: str) -> None:
        self.con = duckdb.connect()
        self.home = home
        self.planner = PlannerStub(home)
        self.fed_runs = Runtime().fed_runs
        runtime = SimpleNamespace(fed_runs=self.fed_runs, count=lambda run, **amounts: None)
        for module in ("begin", "feed", "finish", "score"):
            for kernel in importlib.import_module(f"vista_sql.udfs.{module}").KERNELS:
                self._create(kernel, runtime)

    def _create(self, kernel, runtime):
        def function(*columns):
            return kernel.function(runtime, *columns)

        if kernel.parameters is not None:
            function.__signature__ = inspect.Signature(
                inspect.Parameter(f"c{i}", inspect.Parameter.POSITIONAL_ONLY)
                for i in range(len(kernel.parameters))
            )
        self.con.create_function(
            kernel.name,
            function,
            None if kernel.parameters is None else list(kernel.parameters),
            kernel.returns,
            type="arrow",
            null_handling="special",
            side_effects=True,
        )

    def text(self, function: str, **arguments) -> str:
        return load(function).expand(Call(function, arguments, {}).checked(), self.planner)

    def rows(self, text: str) -> list[dict]:
        result = self.con.execute(text)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def __call__(self, function: str, **arguments) -> list[dict]:
        return self.rows(self.text(function, **arguments))

    def train(self, data: str, label: str = "y", **arguments) -> list[dict]:
        arguments = {"model": "m", **arguments}
        return self("vista_train", data=data, label=label, **arguments)

    def failure(self, function: str, **arguments) -> str:
        """Return the message of the error that a call ends in: one line."""
        text = self.text(function, **arguments)
        with pytest.raises(duckdb.Error) as caught:
            self.con.execute(text).fetchall()
        lines = [line for line in str(caught.value).splitlines() if "Error: " in line]
        assert len(self.fed_runs) == 0
        return lines[-1]


@pytest.fixture
def sql(tmp_path):
    session = Sql(str(tmp_path / "home"))
    yield session
    session.con.close()


@pytest.fixture
def made_by(monkeypatch):
    """Say what TRANSFERs the text of data holds."""

    def say(*transfers):
        record = {"transfers": list(transfers)}
        monkeypatch.setattr(_provenance, "record", lambda calls, planner: record)

    return say


@pytest.fixture
def digits(sql):
    """Table digits: id, ink, half, thick BOOLEAN; layers low FLOAT[48], high FLOAT[]; y, digit."""
    import numpy as np
    import pyarrow as pa
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    low = pa.FixedSizeListArray.from_arrays(pa.array(x[:, :48].ravel()), 48)
    high = pa.array(list(x[:, 16:]), pa.list_(pa.float32()))
    table = pa.table(
        {
            "id": np.arange(len(y)),
            "ink": x.sum(axis=1).astype(np.float64),
            "half": x[:, :32].sum(axis=1),
            "thick": x[:, 20] > 0.5,
            "low": low,
            "high": high,
            "y": y < 5,
            "digit": y,
            "error": pa.nulls(len(y), pa.string()),
        }
    )
    sql.con.register("arrow_digits", table)
    sql.con.execute("CREATE TABLE digits AS SELECT * FROM arrow_digits")
    sql.con.unregister("arrow_digits")
    return sql
