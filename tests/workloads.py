"""Workloads, hints and hosts for tests of planning: no statement, no database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from vista_sql.machine.resources import Resources
from vista_sql.planning import optimizer
from vista_sql.planning.candidates import Hints, Machine
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.optimizer import Plan
from vista_sql.planning.workload import Relation, Workload, bind, load_cnn
from vista_sql.settings import Value
from vista_sql.sql.calls import Call

ROOMY = Resources(2, 64 * 2**30, "the machine")
STATEMENTS = Capabilities(small_batches=True)
BIND_TIME = Capabilities()


def work(
    cnn: str = "resnet50", layers: Sequence[str] = ("conv4_6", "avg_pool"), **fields: Any
) -> Workload:
    """Return the workload of a TRANSFER over images and foods; `fields` replace its own."""
    call = Call("transfer", {"cnn": cnn, "layers": list(layers)}, {})
    images = Relation("images", {"id": "INTEGER", "image": "BLOB"})
    foods = Relation("foods", {"id": "INTEGER"})
    return replace(bind(call, load_cnn(call), images, foods, seed=0, device="auto"), **fields)


def hints(**values: Any) -> Hints:
    """Return hints; those that are not among `values` are not given."""
    return Hints(
        **{
            name: Value(name, values.get(name), f"{name} => …" if name in values else "default")
            for name in Hints.__slots__
        }
    )


def choose(
    workload: Workload,
    resources: Resources = ROOMY,
    capabilities: Capabilities = STATEMENTS,
    given: Hints | None = None,
    **values: Any,
) -> Plan:
    """Return the plan that is chosen for a workload; `values` are hints, unless all are given."""
    return optimizer.choose(workload, Machine(resources, capabilities, given or hints(**values)))
