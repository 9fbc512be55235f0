"""Networks that begin alike share what the store keeps; others of the same names share nothing."""

from __future__ import annotations

import shutil

import onnx
import onnx_nets
import pytest
import variants
from inferences import Count, N, images_db
from msgspec.structs import replace
from processors import DTYPES

from vista_sql.machine import calibration
from vista_sql.machine.calibration import DEFAULTS

# Keras 3.15 reads its own variables so when it saves them; we only read.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    return {kind: variants.save(kind, folder) for kind in ("plain", "renamed", "tuned")}


@pytest.fixture(params=["query", "attach"])
def run(request, tmp_path):
    with images_db(tmp_path, request.param) as session:
        yield Count(session)


def call(cnn, *layers, **arguments):
    shown = "".join(f", {name} => {value}" for name, value in arguments.items())
    columns = ", ".join(layers)
    return f"SELECT id, {columns} FROM TRANSFER(cnn => '{cnn}', layers => {list(layers)}{shown})"


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_a_layer_that_two_networks_compute_alike_is_inferred_once(nets, run, engine):
    chosen = {"engine": f"'{engine}'"}
    first = run(call(nets["plain"], "block", "late", **chosen))
    assert run.images_inferred == N
    assert run(call(nets["tuned"], "block", **chosen)) == [row[:2] for row in first]
    assert (run.images_inferred, run.images_from_store) == (0, N)
    assert run(call(nets["renamed"], "our_block", "our_late", **chosen)) == first
    assert run.images_inferred == 0
    tuned = run(call(nets["tuned"], "late", **chosen))
    assert run.images_inferred == N
    assert [row[1] for row in tuned] != [row[2] for row in first]


def test_only_what_differs_is_inferred_from_what_is_shared(nets, tmp_path, monkeypatch):
    monkeypatch.setenv("VISTA_SQL_CALIBRATION", str(tmp_path / "rates.json"))
    calibration.save(tmp_path / "rates.json", DEFAULTS)
    with images_db(tmp_path, "query") as session:  # what is planned whole knows the store
        run = Count(session)
        session.query(f"FROM VISTA_MATERIALIZE('{nets['plain']}', 'block')").fetchall()
        assert "start: block (the store holds its raw maps of 100%" in session.explain(
            call(nets["tuned"], "top")
        )
        for kind, top in (("tuned", "top"), ("renamed", "our_top")):
            want = run(call(nets[kind], top, store="false"))
            assert run(call(nets[kind], top)) == want
            assert (run.images_inferred, run.images_resumed, run.decoded) == (N, N, 0)
        (found,) = session.query(
            "SELECT cnn, layer, images FROM VISTA_STORE() WHERE layer LIKE '%block'"
        ).fetchall()
        assert found == ("plain", "block", N)


def test_weights_files_of_a_known_network_share_too(run, tmp_path):
    """LeNet-5 with another classifier: all below it is the bundled one's."""
    h5py = pytest.importorskip("h5py")
    from vista_sql import roster, weights

    path = weights.resolve(roster.load("lenet5"), "bundled").path
    tuned = tmp_path / "tuned.weights.h5"
    shutil.copy(path, tuned)
    with h5py.File(tuned, "r+") as file:
        file["layers/dense/vars/1"][...] += 1
    run(call("lenet5", "conv3", "fc6"))
    assert run.images_inferred == N
    run(call("lenet5", "conv3", weights=f"'{tuned}'"))
    assert run.images_inferred == 0
    run(call("lenet5", "fc6", weights=f"'{tuned}'"))
    assert run.images_inferred == N


def test_files_of_one_name_do_not_share_what_they_compute_otherwise(run, tmp_path):
    path = tmp_path / "net.onnx"
    pixels = {"mean": "0", "scale": "0.01"}
    onnx_nets.saved(onnx_nets.residual(), path)
    first = run(call(path, "conv1", "logits", **pixels))
    model = onnx.load(path)
    by_name = {one.name: one for one in model.graph.initializer}
    (bias,) = (by_name[x.input[2]] for x in model.graph.node if x.output[0] == "logits")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 1, bias.name))
    onnx.save(model, path)
    assert run(call(path, "conv1", **pixels)) == [row[:2] for row in first]
    assert run.images_inferred == 0
    second = run(call(path, "logits", **pixels))
    assert run.images_inferred == N
    assert [row[1] for row in second] != [row[2] for row in first]


# ── one statement ───────────────────────────────────────────────────────────────────────────────


def comparison(files, **arguments):
    """Return a VISTA_COMPARE of files over rows with labels, which needs no images of a kind."""
    shown = "".join(f", {name} => {value}" for name, value in arguments.items())
    return (
        "SELECT feature_set, f1_score, log_loss FROM VISTA_COMPARE("
        f"cnn => {list(files)}, images => 'images', label => 'odd', max_iterations => 3, "
        f"structured => '(SELECT id, id % 2 AS odd FROM images)'{shown})"
    )


def test_files_are_compared_and_what_they_have_in_common_is_inferred_once(
    nets, run, tmp_path, monkeypatch
):
    monkeypatch.setenv("VISTA_SQL_CALIBRATION", str(tmp_path / "rates.json"))
    rates = replace(DEFAULTS, maps_bytes_per_second=1e12)  # or they pay in larger networks alone
    calibration.save(tmp_path / "rates.json", rates)
    run.db.con.execute("SET VARIABLE vista_store = false")
    layers = ["plain.middle_norm", "plain.top", "tuned.late", "our_top"]
    found = {name: rest for name, *rest in run(comparison(nets.values(), layers=layers))}
    assert {*found} == {*layers[:3], "renamed.our_top"}
    assert (run.images_inferred, run.images_resumed, run.decoded) == (3 * N, 2 * N, N)
    assert found["renamed.our_top"] == found["plain.top"]
    run.db.con.execute("SET VARIABLE vista_plan = 'lazy'")
    apart = {name: rest for name, *rest in run(comparison(nets.values(), layers=layers))}
    assert (apart, run.images_inferred, run.images_resumed) == (found, 4 * N, 0)
    run.db.con.execute("RESET VARIABLE vista_plan")
    text = run.db.explain(comparison(nets.values(), layers=layers))
    assert "start of tuned: block (it begins as plain, which has computed that by then" in text
    assert "start of renamed: our_top (" in text
    assert "share raw maps of block, top" in text


def test_names_of_files_that_cannot_be(nets, run, tmp_path):
    other = tmp_path / "plain.keras"
    shutil.copy(nets["plain"], other)
    for files, layers, message in (
        ([nets["plain"], str(other)], ["top"], "are both called 'plain' here"),
        ([nets["plain"], nets["plain"]], ["top"], "plain.keras' twice"),
        ([nets["plain"], "lenet5"], ["plain.fc6"], "unknown layer 'fc6' in cnn 'plain'"),
        ([nets["plain"], "lenet5"], ["plan.top"], "did you mean"),
        ([nets["plain"], str(tmp_path / "no.keras")], ["top"], "there is no file"),
    ):
        with pytest.raises(Exception, match=message):
            run(comparison(files, layers=layers))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tuned_networks_share_all_up_to_the_block_that_differs(run, tmp_path, monkeypatch, dtype):
    """In bfloat16, too, where OpenVINO rounds otherwise from most layers on."""
    monkeypatch.setenv("VISTA_SQL_CALIBRATION", str(tmp_path / "rates.json"))
    calibration.save(tmp_path / "rates.json", replace(DEFAULTS, maps_bytes_per_second=1e12))
    run.db.con.execute("SET VARIABLE vista_store = false")
    files = [tmp_path / "before.keras", tmp_path / "after.keras"]
    for file, is_tuned in zip(files, (False, True), strict=True):
        variants.blocks(is_tuned).save(file)
    given = {"layers": ["before.top", "after.top"], "dtype": f"'{dtype}'", "engine": "'openvino'"}
    text = comparison(map(str, files), **given)
    found = sorted(run(text))
    assert (run.images_inferred, run.images_resumed, run.decoded) == (2 * N, N, N)
    assert "start of after: net/block3" in run.db.explain(text)
    for file, (_, *figures) in zip(files, reversed(found), strict=True):
        (alone,) = run(comparison([str(file)], **given | {"layers": ["top"]}))
        assert alone[1:] == pytest.approx(figures, rel=1e-12)  # trained beside others
        assert (run.images_inferred, run.images_resumed) == (N, 0)
