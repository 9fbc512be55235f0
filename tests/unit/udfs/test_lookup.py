"""What the store lacks of images, and what it has."""

from __future__ import annotations

import fake_networks
import numpy as np
import pyarrow as pa
import pytest
from fake_networks import png
from vista_sql.udfs.passes.counts import Amounts
from vista_sql.udfs.passes.lookup import Lookup, Sought
from vista_sql.udfs.passes.outputs import Outputs
from vista_sql.udfs.passes.reader import Reader
from vista_sql.udfs.passes.results import Results
from vista_sql.udfs.passes.store_view import store_view

from vista_sql import store

ASKED = [("c5", "gap"), ("f6", "gap")]


@pytest.fixture
def look(tmp_path):
    """Look two images up where the store has some outputs of some of them."""

    def looked(kept=(), **spec):
        spec = {"store": str(tmp_path / "store"), "store_required": True} | spec
        inputs = fake_networks.inputs([png(1), png(2)], **spec)
        view = store_view(inputs, ASKED)
        for output, digest in kept:
            values = np.full((1, 2), len(output[0] + output[1]), np.float32)
            view.keep([digest], [output], [values], on_gpu=False)
        results, amounts = Results(inputs.images, 2), Amounts()
        lookup = Lookup(inputs, Outputs(inputs, ASKED), view, results)
        return lookup.look([0, 1], Reader(inputs), amounts), results, amounts

    return looked


FIRST, SECOND = store.digest(png(1)), store.digest(png(2))


def test_without_a_store_all_is_missing_and_nothing_is_read():
    inputs = fake_networks.inputs([png(1)])
    reader = Reader(inputs)
    lookup = Lookup(inputs, Outputs(inputs, ASKED), None, Results(inputs.images, 2))
    assert lookup.look([0], reader, Amounts()) == [Sought(missing=(0, 1))]
    assert reader.seconds == 0


def test_what_is_there_goes_to_the_results(look):
    sought, results, amounts = look([(ASKED[0], FIRST), (ASKED[1], FIRST), (ASKED[1], SECOND)])
    assert sought == [Sought(digest=FIRST), Sought(missing=(0,), digest=SECOND)]
    assert results.matrices[0][0].tolist() == [5, 5]
    assert results.matrices[1].tolist() == [[5, 5], [5, 5]]
    assert amounts.store_seconds > 0


def test_an_image_starts_at_the_base_where_its_map_is_there_and_leads_on(look):
    maps = [(("c1", "none"), FIRST), (("c3", "none"), FIRST)]
    sought, _, _ = look(maps, base="c1")
    assert [one.from_base for one in sought] == [True, False]
    sought, _, _ = look(maps, base="c3")  # from which the fake network starts nothing
    assert [one.from_base for one in sought] == [False, False]


def test_what_cannot_be_read_has_its_reason(tmp_path):
    inputs = fake_networks.inputs(pa.array(["none.png"]), store=str(tmp_path), folder="/nowhere")
    view = store_view(inputs, ASKED)
    lookup = Lookup(inputs, Outputs(inputs, ASKED), view, Results(inputs.images, 2))
    (sought,) = lookup.look([0], Reader(inputs), Amounts())
    assert sought == Sought(reason="cannot open none.png: no such file")
