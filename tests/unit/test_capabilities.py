"""What hosts can do is data that all of them state."""

from __future__ import annotations

from vista_sql import hosts
from vista_sql.planning.capabilities import Capabilities


def test_small_batches_bound_a_kernels_call():
    assert Capabilities(small_batches=True).call_rows(33) == 33
    assert Capabilities().call_rows(33) == 2048
    assert Capabilities(vector_rows=100).call_rows(33) == 100


def test_the_hosts_of_the_package_are_found_by_their_modules():
    names = [kind.name for kind in hosts.kinds()]
    assert names == sorted(set(names))
    assert {"connection", "query", "shell"} <= set(names)
