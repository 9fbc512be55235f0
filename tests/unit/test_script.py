"""What planning returns: which rows stand apart, and what memory is left to others."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from vista_sql.errors import PlanError
from vista_sql.machine.resources import Resources
from vista_sql.planning import optimizer, rewrite
from vista_sql.planning.candidates import Machine
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.memory import Allowance
from vista_sql.planning.rows import Identifiers
from vista_sql.planning.script import Script, Transfer
from vista_sql.planning.workload import Relation, bind, load_cnn
from vista_sql.sql.calls import Call
from vista_sql.sql.needs import Needs

GIB = 2**30


def transfer(cnn="lenet5", limit_bytes=8 * GIB, columns=None, **able):
    call = Call("transfer", {"cnn": cnn}, {})
    images = Relation("photos", {"id": "INTEGER", "image": "BLOB"})
    workload = bind(call, load_cnn(call), images, None, seed=0, device="auto")
    if columns is not None:
        workload = replace(workload, needs=Needs(frozenset(columns)))
    capabilities = Capabilities(**able)
    plan = optimizer.choose(workload, Machine(Resources(2, limit_bytes, "test"), capabilities))
    staged = rewrite.stage(workload, plan, Identifiers(f"__v_{cnn}_"))
    return Transfer(workload, plan, staged, limit_bytes, capabilities)


def test_rows_stand_apart_where_something_is_inferred_in_small_batches():
    assert transfer(small_batches=True).is_apart
    assert not transfer().is_apart
    assert not transfer(small_batches=True, columns=["id"]).is_apart
    apart = Script("SELECT …", (transfer(small_batches=True), transfer()))
    assert apart.apart == apart.transfers[:1]
    assert [text.split(" AS ")[0] for text, _ in apart.relations] == ["__v_lenet5_rows"]


def test_what_takes_the_calls_place():
    apart, whole = transfer(small_batches=True), transfer()
    assert apart.text == apart.staged.calls
    assert whole.text == whole.staged.whole


def test_a_statement_that_infers_nothing_leaves_everything():
    assert Script("SELECT 1").allowance() == Allowance()
    assert Script("SELECT id", (transfer(columns=["id"]),)).allowance() == Allowance()


def test_what_is_left_is_the_limit_less_the_peak():
    one = transfer(small_batches=True)
    allowed = Script("", (one,)).allowance()
    held = one.breakdown()
    assert allowed.engine_bytes == held.engine + one.limit_bytes - held.total
    assert one.plan.chosen.peak_bytes == held.total


def test_transfers_that_fit_one_by_one_may_not_fit_together():
    limit = transfer("vgg16").plan.chosen.peak_bytes + GIB
    script = Script("", (transfer("vgg16", limit), transfer("vgg19", limit)))
    with pytest.raises(PlanError, match="the 2 TRANSFERs of this statement need"):
        script.allowance()
