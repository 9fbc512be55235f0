"""Batches on a GPU, without one: what fits by shapes, and what happens where memory runs out."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pynvml
import pytest
import toys
from numpy.testing import assert_array_equal
from vista_sql.udfs.network.engines.tensorflow import gpu, process
from vista_sql.udfs.network.networks import Network

from vista_sql.errors import PlanError
from vista_sql.kernels import InferSpec

LENGTHS = (2, 4, 8, 16)
NEED = gpu.Need(weights_bytes=1000, row_bytes=10)


def test_a_value_lives_from_its_step_to_its_last_use():
    chain = [("image", (), 10), ("a", ("image",), 20), ("b", ("a",), 5)]
    assert gpu.live_values(chain) == 30
    residual = [*chain, ("sum", ("b", "image"), 10)]
    assert gpu.live_values(residual) == 35  # image and a beside b
    twice = [("image", (), 4), ("square", ("image", "image"), 3)]
    assert gpu.live_values(twice) == 7


def test_weights_and_activations_are_counted_in_the_arithmetics_bytes():
    chain = [("image", (), 10), ("a", ("image",), 20)]
    assert gpu.needed(chain, 7, 4) == gpu.Need(28, gpu.MARGIN * 30 * 4)
    assert gpu.needed(chain, 7, 2) == gpu.Need(14, gpu.MARGIN * 30 * 2)


@pytest.mark.parametrize(
    ("free", "rows"), [(1041, 4), (1040, 3), (1011, 1), (1010, 0), (1000, 0), (0, 0)]
)
def test_what_fits_is_less_than_what_is_free(free, rows):
    assert gpu.fitting_rows(NEED, free) == rows
    assert rows == 0 or NEED.weights_bytes + NEED.row_bytes * rows < free  # (15) is strict
    assert NEED.weights_bytes + NEED.row_bytes * (rows + 1) >= free


class Memory:
    """A GPU that takes so many rows at once, and notes how many it was given."""

    def __init__(self, most, message=None):
        self.most, self.message, self.given = most, message, []

    def __call__(self, values):
        self.given.append(len(values))
        if len(values) > self.most:
            tf, _ = process.load()
            if self.message is None:
                raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
            raise tf.errors.NotFoundError(None, None, self.message)
        return [values * 2, values[:, :1]]


def batches(free):
    return gpu.Guard("toy", NEED, LENGTHS, lambda: free)


@pytest.mark.parametrize("n", [0, 1, 3, 16, 21])
@pytest.mark.parametrize(("free", "longest"), [(1045, 4), (10_000, 16), (None, 16), (0, 2)])
def test_batches_have_at_most_what_fits(free, longest, n):
    values, gpu = np.arange(3 * n).reshape(n, 3), Memory(100)
    double, first = batches(free).run(gpu, values)
    assert_array_equal(double, values * 2)
    assert_array_equal(first, values[:, :1])
    assert max(gpu.given) <= longest
    assert sum(gpu.given) == n


NO_ROOM = "No algorithm worked!  Error messages: Profiling failure: CUDNN_STATUS_ALLOC_FAILED"


@pytest.mark.parametrize("message", [None, NO_ROOM], ids=["exhausted", "no algorithm"])
def test_where_memory_runs_out_the_batch_is_halved_and_stays_short(message):
    values, gpu, cut = np.arange(40).reshape(20, 2), Memory(5, message), batches(None)
    double, _ = cut.run(gpu, values)
    assert_array_equal(double, values * 2)
    assert gpu.given == [16, 8, 4, 4, 4, 4, 4]
    gpu.given.clear()
    cut.run(gpu, values[:6])
    assert gpu.given == [4, 2]  # what did not fit is not tried again


def test_memory_that_runs_out_in_the_middle_loses_no_row():
    values, gpu = np.arange(40).reshape(20, 2), Memory(16)

    def call(some):
        gpu.most = 16 if len(gpu.given) < 1 else 2  # another process takes the rest
        return gpu(some)

    double, _ = batches(None).run(call, values)
    assert_array_equal(double, values * 2)
    assert gpu.given == [16, 4, 2, 2]


def test_a_gpu_that_takes_no_batch_is_an_error_that_says_what_would_do(monkeypatch):
    monkeypatch.setattr(gpu, "free_bytes", lambda: 3 * 2**20)
    with pytest.raises(
        PlanError, match=r"toy does not fit the GPU's memory, of which 3.0 MiB"
    ) as e:
        batches(None).run(Memory(0), np.zeros((5, 1)))
    assert "with 2 images it holds about 1020 B" in str(e.value)
    assert "device => 'cpu'" in str(e.value)
    tf, _ = process.load()
    with pytest.raises(PlanError, match=r"toy does not fit .* no image"), gpu.loading("toy", 5):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")


def test_other_errors_pass():
    tf, _ = process.load()

    def call(values):
        raise tf.errors.InvalidArgumentError(None, None, "shapes differ")

    with pytest.raises(tf.errors.InvalidArgumentError, match="shapes differ"):
        batches(None).run(call, np.zeros((5, 1)))
    with pytest.raises(tf.errors.InvalidArgumentError), gpu.loading("toy", 5):
        call(None)


def test_a_network_on_a_gpu_runs_in_batches_that_fit(monkeypatch):
    opened = toys.open_toy(InferSpec("residual", ()))
    network = Network(opened, "float32", "cpu")
    images = toys.pixels(21)
    expected = network.features(["block", "top"], "max2x2", images)
    lengths = []
    network.runner.on_gpu = True  # its arithmetic stays the CPU's, so the bits are the same
    straight = network.runner._pass

    def counted(start, outputs, values):
        lengths.append(len(values))
        if len(lengths) == 2:
            tf, _ = process.load()
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return straight(start, outputs, values)

    monkeypatch.setattr(network.runner, "_pass", counted)
    need = network.runner.guard._need
    monkeypatch.setattr(
        network.runner.guard, "_free", lambda: need.weights_bytes + 9 * need.row_bytes + 1
    )
    found = network.features(["block", "top"], "max2x2", images)
    assert lengths == [8, 8, 4, 4, 4, 1]
    for values, other in zip(found, expected, strict=True):
        assert_array_equal(values, other)


class Nvml:
    """Stands in for pynvml: GPUs as (name, UUID, free bytes), by slot."""

    class NVMLError(Exception):
        pass

    def __init__(self, *gpus):
        self.gpus, self.open = gpus, 0

    def nvmlInit(self):
        self.open += 1

    def nvmlShutdown(self):
        self.open -= 1

    def nvmlDeviceGetCount(self):
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):
        for found in self.gpus:
            if found[1] == uuid:
                return found
        raise self.NVMLError(uuid)

    def nvmlDeviceGetName(self, gpu):
        return gpu[0]

    def nvmlDeviceGetMemoryInfo(self, gpu):
        return SimpleNamespace(total=10**6, free=gpu[2], used=10**6 - gpu[2])


ONE = [("A", "GPU-a", 100)]
ALIKE = [("A", "GPU-a", 100), ("A", "GPU-b", 50)]
MIXED = [("A", "GPU-a", 100), ("B", "GPU-b", 50)]


@pytest.mark.parametrize(
    ("gpus", "visible", "order", "free"),
    [
        (ONE, None, None, 100),
        (ALIKE, None, None, 100),
        (ALIKE, "1,0", None, 50),
        (ALIKE, "GPU-b", None, 50),
        (MIXED, None, None, 50),  # CUDA's first may be either
        (MIXED, "0", None, 50),
        (MIXED, "0", "PCI_BUS_ID", 100),
        (MIXED, "GPU-a,GPU-b", None, 100),
        (MIXED, "GPU-c", None, None),
        (ALIKE, "7", None, None),
        (ONE, "", None, None),
        ([], None, None, None),
    ],
)
def test_free_memory_is_that_of_cudas_first_gpu(monkeypatch, gpus, visible, order, free):
    for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("CUDA_DEVICE_ORDER", order)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    nvml = Nvml(*gpus)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    tf, _ = process.load()
    used = {"peak": 7, "current": 3}  # four bytes of TensorFlow's pool are free for us
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", lambda device: used)
    assert gpu.free_bytes() == (None if free is None else free + 4)
    assert nvml.open == 0


def test_without_the_library_or_a_driver_free_memory_is_unknown(monkeypatch):
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: (_ for _ in ()).throw(pynvml.NVMLError(9)))
    assert gpu.free_bytes() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu.free_bytes() is None
