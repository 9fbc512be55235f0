"""How OpenVINO is loaded: silently, in one process, and with the arithmetic that was asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import described
import pytest
from processes import run_python
from vista_sql.udfs.network.engines import openvino
from vista_sql.udfs.network.engines.openvino import process

from vista_sql.errors import HostError, SettingError

SILENT = """
    import os, pathlib, sys, threading
    sys.path[:0] = {path!r}
    os.environ["HOME"] = {home!r}
    began = []

    def watch(event, arguments):
        if event.startswith("socket.") or event == "_thread.start_new_thread":
            began.append(event)

    sys.addaudithook(watch)
    import described, numpy
    from vista_sql.udfs.network.networks import Network, OpenCnn
    opened = OpenCnn(described.CNN, "described", described.graph)
    network = Network(opened, "float32", "cpu", engine_name="openvino")
    print(network.features(["top"], "gap", described.pixels(2))[0].shape)
    print(began, threading.enumerate(), sorted(pathlib.Path({home!r}).rglob("*")))
    print([name for name in ("tensorflow", "keras", "openvino_telemetry") if name in sys.modules])
    """


def test_it_writes_nothing_home_opens_no_socket_and_starts_no_thread_of_pythons(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    program = SILENT.format(home=str(home), path=[str(Path(described.__file__).parent)])
    shape, began, loaded = run_python(tmp_path / "script.py", program, "tensorflow", "keras")
    values = described.by_numpy(described.pixels(2))["top"].shape
    assert (shape, loaded) == (str(values), "[]")
    assert began.startswith("[] [<_MainThread(MainThread")
    assert began.endswith(")>] []")


def test_a_forked_process_is_told_in_one_sentence(monkeypatch):
    monkeypatch.setattr(process, "_cores", [(os.getpid() + 1, object())])
    with pytest.raises(HostError, match="OpenVINO was loaded before this process was forked"):
        process.core()


def test_where_it_is_not_installed_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(process, "_cores", [])
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(HostError, match=r"pip install 'vista-sql\[openvino\]'"):
        process.core()


class WithoutBfloat16:
    """Stands in for OpenVINO on a processor of float32 alone."""

    def get_property(self, device, name):
        assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
        return ["FP32", "INT8"]


def test_bfloat16_where_the_processor_has_none_is_one_sentence(monkeypatch):
    monkeypatch.setattr(process, "_cores", [(os.getpid(), WithoutBfloat16())])
    with pytest.raises(SettingError, match="dtype 'bfloat16' is not an arithmetic of this CPU"):
        process.compiled(bytes, "bfloat16", None)


def test_a_gpu_is_tensorflows():
    with pytest.raises(SettingError, match=r"device 'gpu' .* a GPU needs engine => 'tensorflow'"):
        openvino.open_network(described.CNN, "", described.graph, "float32", "gpu", None)
