"""Calls that are planned one by one: home folders, runs, names."""

from __future__ import annotations

import pytest

from vista_sql.errors import ArgumentError
from vista_sql.hosts.binding import Binder
from vista_sql.planning.capabilities import Capabilities
from vista_sql.settings import Settings
from vista_sql.sql.calls import Call


class NoCounts:
    """Kernels that never ran."""

    def counters(self, run):
        return type("Counts", (), {"rows": 0})()

    def forget(self, run):
        pass


def binder(home="home", look=lambda relation: None):
    return Binder(home, "salt", Capabilities(), NoCounts(), look)


def transfer(**values):
    return Call("transfer", {"cnn": "lenet5", "layers": ["fc6"], "images": "photos", **values}, {})


OFF = {"vista_store": False}


def test_the_home_is_the_databases_unless_a_setting_says(tmp_path):
    assert binder("own").home(Settings({}, {})) == "own"
    other = Settings({"vista_home": "models"}, {})
    assert binder("own").home(other) == "models"
    assert binder("own").home(other, str(tmp_path)) == str(tmp_path / "models")


def test_a_call_is_one_select_with_its_run():
    text = binder().expand(transfer(), Settings(OFF, {}))
    assert text.startswith("SELECT")
    assert '"run":"' in text
    assert "FROM photos" in text


def test_equal_calls_get_equal_names_and_others_get_others():
    one = binder().expand(transfer(), Settings(OFF, {}))
    same = binder().expand(transfer(), Settings(OFF, {}))
    other = binder().expand(transfer(prefix="p"), Settings(OFF, {}))
    name = one.partition("__vista_")[2][:8]
    assert name == same.partition("__vista_")[2][:8]
    assert name != other.partition("__vista_")[2][:8]


def test_a_lasting_relation_lends_its_image_column():
    columns = {"id": "INTEGER", "picture": "BLOB", "label": "VARCHAR"}
    seen = binder(look=lambda relation: columns).expand(transfer(), Settings(OFF, {}))
    assert '"picture"' in seen
    assert '"picture"' not in binder().expand(transfer(), Settings(OFF, {}))


def test_relative_weights_are_those_of_the_users_folder(tmp_path):
    (tmp_path / "w.weights.h5").touch()
    call = transfer(weights="w.weights.h5")
    text = binder().expand(call, Settings(OFF, {}), str(tmp_path))
    assert str(tmp_path / "w.weights.h5") in text


def test_wrong_calls_are_refused():
    with pytest.raises(ArgumentError, match="needs cnn"):
        binder().expand(Call("transfer", {}, {}), Settings(OFF, {}))
