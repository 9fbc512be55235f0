"""Why images cannot be read, by row; remembered where equal identities mean equal bytes."""

from __future__ import annotations

import fake_networks
import pyarrow as pa
import pytest
from vista_sql.udfs.passes.reasons import Reasons

from vista_sql.errors import UnreadableImageError


def test_every_row_that_shows_an_image_has_its_reason():
    inputs = fake_networks.inputs([b"a", b"b", None, b"a"])
    reasons = Reasons(inputs)
    assert reasons.present.tolist() == [True, True, False, True]
    reasons.tell(0, "why")
    assert reasons.present.tolist() == [False, True, False, False]
    assert reasons.column().equals(pa.array(["why", None, None, "why"]))
    assert inputs.runtime.counters("r").reasons == [("k0", "why"), ("k3", "why")]


def test_a_reason_is_raised_where_the_order_says_so():
    inputs = fake_networks.inputs([b"a", b"b"], on_error="raise")
    with pytest.raises(UnreadableImageError, match="image of key 'k1' cannot be read: why"):
        Reasons(inputs).tell(1, "why")
    assert inputs.runtime.counters("r").errors == 1


def test_later_calls_recall_what_is_stable(tmp_path):
    runtime = fake_networks.runtime()
    (tmp_path / "a.png").write_bytes(b"a")
    paths = pa.array(["a.png", "none.png", "memory://reasons/a.png"])
    reasons = Reasons(fake_networks.inputs(paths, runtime, folder=str(tmp_path)))
    for image in range(3):
        assert reasons.recall(image) == (False, None)
        reasons.remember(image, "why")
    later = Reasons(fake_networks.inputs(paths, runtime, folder=str(tmp_path)))
    assert [later.recall(image)[0] for image in range(3)] == [True, False, False]
    (tmp_path / "a.png").write_bytes(b"another")
    changed = Reasons(fake_networks.inputs(paths, runtime, folder=str(tmp_path)))
    assert changed.recall(0) == (False, None)
