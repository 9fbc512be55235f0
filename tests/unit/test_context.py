"""What planning works with: settings, limits of trainings, names, folders."""

from __future__ import annotations

import pytest

from vista_sql.errors import ArgumentError, SettingError
from vista_sql.planning import memory
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.context import Context, FreshNames
from vista_sql.settings import Settings
from vista_sql.sql.calls import Call

MIB = 2**20


def context(variables=None, **given):
    host = Capabilities(small_batches=True, sink="parquet")
    return Context(Settings(variables or {}, {}), "home", host, FreshNames("salt"), **given)


def transfer(**values):
    return Call("transfer", values, {})


def test_names_differ_and_repeat_with_the_salt():
    one, other = FreshNames("a"), FreshNames("a")
    names = [one.fresh("rows") for _ in range(9)]
    assert len(set(names)) == 9
    assert [other.fresh("rows") for _ in range(9)] == names
    assert FreshNames("b").fresh("rows") not in names


def test_a_calls_argument_wins_and_is_blamed_for_what_it_says():
    session = context({"vista_threads": 3})
    assert session.setting("threads", transfer()).value == 3
    assert session.setting("threads", transfer(threads=1)).value == 1
    with pytest.raises(ArgumentError):
        session.setting("threads", transfer(threads=0))
    with pytest.raises(SettingError):
        context({"vista_threads": 0}).setting("threads", transfer())


def test_what_feeds_a_training_has_a_share_of_the_smallest_limit():
    training = Call("vista_train", {"memory_limit": f"{900 * MIB}"}, {})
    feeding = context().feeding(context().setting("memory_limit", training), "gate")
    assert feeding.gate == "gate"
    resources = feeding.resources(transfer(memory_limit=f"{2000 * MIB}"))
    assert resources.memory_bytes == memory.beside_training(900 * MIB)
    assert resources.memory_source == "memory_limit, memory_limit => …, less the training's share"
    assert context().resources(transfer()).share == 1


def test_rows_inside_of_a_call_go_to_the_call():
    assert context().inside("vista_train").capabilities == Capabilities(small_batches=True)
    assert context().inside("transfer").capabilities == Capabilities()


def test_relative_files_are_those_of_the_users_folder(tmp_path):
    (tmp_path / "net.keras").touch()
    here = context(folder=str(tmp_path))
    found = here.located(transfer(cnn="net.keras", weights="imagenet"))
    assert found.values == {"cnn": str(tmp_path / "net.keras"), "weights": "imagenet"}
    assert here.located(transfer(cnn="lenet5")).values == {"cnn": "lenet5"}
    several = here.located(Call("vista_compare", {"cnn": ("lenet5", "net.keras")}, {}))
    assert several.values == {"cnn": ["lenet5", str(tmp_path / "net.keras")]}
    assert context().located(transfer(cnn="net.keras")).values == {"cnn": "net.keras"}


def test_the_machine_of_a_call_has_its_hints():
    machine = context().machine(transfer(plan="lazy", batch_rows=3))
    assert (machine.hints.plan.value, machine.hints.batch_rows.value) == ("lazy", 3)
    assert machine.hints.placement.value is None
    assert machine.share_of_cores == 1
