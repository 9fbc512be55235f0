"""What one call infers reaches calls that want it: at once, or within some bytes."""

from __future__ import annotations

import numpy as np
from vista_sql.udfs.passes.sharing import Recent, Sharing

VALUES = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_a_call_at_the_same_time_is_given_what_it_still_wants():
    sharing = Sharing(0, 0)
    with sharing.exchange(["a", "b"], 1) as first, sharing.exchange(["b", "c"], 1) as second:
        assert first.take(0) is second.take(0) is None
        first.publish([0, 1], [VALUES[:2]])
        (vector,) = second.take(0)
        assert vector.tolist() == [2, 3]
        assert second.take(0) is None  # once
        assert second.take(1) is None
        assert first.take(1) is None  # its own is no gift


def test_a_call_that_has_ended_is_given_nothing():
    sharing = Sharing(0, 0)
    with sharing.exchange(["a"], 0) as ended:
        pass
    with sharing.exchange(["a"], 0) as other:
        other.publish([0], [VALUES[:1]])
    assert ended.take(0) is None
    assert not sharing._wanted


def test_later_calls_are_given_the_latest_and_the_edges():
    sharing = Sharing(recent_bytes=8, edge_bytes=16)
    with sharing.exchange(["first", "b", "c", "last"], 3) as exchange:
        for image in range(4):
            exchange.publish([image], [VALUES[:1] + image])
    with sharing.exchange(["first", "b", "c", "last"], 3) as later:
        taken = [later.take(image) for image in range(4)]
    assert taken[1] is None  # too old: 8 bytes are one vector
    assert [taken[i][0][0] for i in (0, 2, 3)] == [0, 2, 3]


def test_no_images_want_nothing():
    with Sharing().exchange([], -1) as exchange:
        exchange.publish([], [])


def test_recent_results_are_copies():
    recent, values = Recent(16), np.ones(2, np.float32)
    recent.put("a", [values])
    values[:] = 0
    assert recent.get("a")[0].tolist() == [1, 1]
    recent.put("b", [values])
    recent.put("a", [values])  # is known, and the youngest now
    recent.put("c", [values])
    assert recent.get("b") is None
    assert recent.get("a")[0].tolist() == [1, 1]
