"""Time inference against its peers: `python benchmarks/bench_inference.py resnet50`.

Images in memory in, features of the top layer out; every contestant in a process of its own, in
interleaved rounds. `vista` figures go through the kernels' own network (uint8 in, preprocessing and
pooling in the graph); the peers get ready float32 input, which spares them the preprocessing.
Peers that are not installed (`pip install torch onnx onnxruntime openvino`) are left out.
Weights are random: cost, not quality.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import cores, fma_peak
from rounds import compete, serve, spread

BATCH = {"resnet50": 32, "vgg16": 16, "alexnet": 64}
SIDE = {"resnet50": 224, "vgg16": 224, "alexnet": 227}
TOP = {"resnet50": "fc1000", "vgg16": "fc8", "alexnet": "fc8"}
FIVE = {
    "resnet50": ("conv4_6", "conv5_1", "conv5_2", "conv5_3", "avg_pool"),
    "vgg16": ("conv5_3", "fc6", "fc7", "fc8"),
    "alexnet": ("conv5", "fc6", "fc7", "fc8"),
}
CONTESTANTS = (
    "vista openvino float32",
    "vista openvino bfloat16",
    "vista openvino bfloat16, all layers",
    "vista tensorflow float32",
    "vista tensorflow bfloat16",
    "vista tensorflow bfloat16, all layers",
    "keras predict",
    "tf.function",
    "torch eager",
    "torch compile bfloat16",
    "onnxruntime",
    "openvino float32",
    "openvino bfloat16",
)


def prepare(cnn: str, batches: int) -> Callable[[str], Callable[[], float]]:
    def contestant(name: str) -> Callable[[], float]:
        pixels = np.random.default_rng(0).integers(
            0, 256, (BATCH[cnn], SIDE[cnn], SIDE[cnn], 3), np.uint8
        )
        kind = name.split()[0].split(",")[0]
        infer = _MAKERS[kind](cnn, name, pixels)

        def run() -> float:
            begun = time.perf_counter()
            for _ in range(batches):
                infer()
            return time.perf_counter() - begun

        return run

    return contestant


def vista(cnn: str, name: str, pixels: np.ndarray) -> Callable[[], Any]:
    from vista_sql import roster
    from vista_sql.hosts.duckdb.process import process
    from vista_sql.kernels import InferSpec

    facts = roster.load(cnn)
    layers = FIVE[cnn] if "all layers" in name else (TOP[cnn],)
    names = tuple(facts.canonical(layer) for layer in layers)
    dtype = "bfloat16" if "bfloat16" in name else "float32"
    spec = InferSpec(cnn, names, weights="random", dtype=dtype, engine=name.split()[1])
    network = process().runtime.network(spec)
    return lambda: network.features(names, "max2x2", pixels)


def keras(cnn: str, name: str, pixels: np.ndarray) -> Callable[[], Any]:
    model = _keras_model(cnn)
    values = pixels.astype(np.float32)
    return lambda: model.predict(values, verbose=0, batch_size=len(values))


def function(cnn: str, name: str, pixels: np.ndarray) -> Callable[[], Any]:
    model = _keras_model(cnn)
    import tensorflow as tf

    call = tf.function(lambda x: model(x, training=False))
    values = tf.constant(pixels.astype(np.float32))
    return lambda: call(values).numpy()


def _keras_model(cnn: str) -> Any:
    from vista_sql import roster, weights

    facts = roster.load(cnn)
    return weights.load_network(facts, weights.resolve(facts, "random"))


def torch(cnn: str, name: str, pixels: np.ndarray) -> Callable[[], Any]:
    import torch
    from torch_cnns import network

    torch.set_num_threads(cores())
    model = network(cnn).to(memory_format=torch.channels_last)
    dtype = torch.bfloat16 if "bfloat16" in name else torch.float32
    values = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(dtype)
    values = values.to(memory_format=torch.channels_last)
    model = model.to(dtype)
    if "compile" in name:
        import torch._inductor.config

        torch._inductor.config.freezing = True
        model = torch.compile(model)

    def infer() -> Any:
        with torch.inference_mode() if "compile" not in name else torch.no_grad():
            return model(values).float().numpy()

    return infer


def _onnx(cnn: str) -> str:
    import torch
    from torch_cnns import network

    path = Path(tempfile.gettempdir()) / f"vista_sql_bench_{cnn}.onnx"
    if not path.exists():
        example = torch.zeros(BATCH[cnn], 3, SIDE[cnn], SIDE[cnn])
        torch.onnx.export(network(cnn), (example,), str(path), dynamo=False)
    return str(path)


def onnxruntime(cnn: str, name: str, pixels: np.ndarray) -> Callable[[], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    session = onnxruntime.InferenceSession(_onnx(cnn), options)
    values = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
    return lambda: session.run(None, {session.get_inputs()[0].name: values})


def openvino(cnn: str, name: str, pixels: np.ndarray) -> Callable[[], Any]:
    import openvino

    precision = "bf16" if "bfloat16" in name else "f32"
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": cores()}
    model = openvino.Core().compile_model(_onnx(cnn), "CPU", options)
    values = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
    return lambda: model(values)[0]


_MAKERS = {
    "vista": vista,
    "keras": keras,
    "tf.function": function,
    "torch": torch,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cnn", nargs="?", default="resnet50", choices=sorted(BATCH))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=2, help="batches in a round")
    parser.add_argument("--only", help="contestants whose name holds this")
    parser.add_argument("--smoke", action="store_true", help="once, on little data, no peers")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    cnn = "alexnet" if given.smoke else given.cnn
    if given.serve:
        serve(prepare(cnn, given.batches), given.serve)
        return
    from vista_sql import roster

    flops = roster.load(cnn).layer(TOP[cnn]).flops
    names = [name for name in CONTESTANTS if not given.only or given.only in name]
    if given.smoke:
        names, given.rounds, given.batches = ["vista openvino float32"], 1, 1
    peaks: dict[str, list[float]] = {"float32": [], "bfloat16": []}

    def between() -> None:
        for dtype, found in peaks.items():
            found.append(fma_peak(dtype)[0])

    images = BATCH[cnn] * given.batches
    arguments = [cnn, "--batches", str(given.batches)]
    print(f"{cnn}: {flops / 1e9:.3f} GFLOP an image, batches of {BATCH[cnn]}, {cores()} threads")
    seconds = compete(__file__, names, arguments, given.rounds, between)
    for dtype, found in peaks.items():
        print(f"  peak {dtype}: {spread([p / 1e9 for p in found])} GFLOP/s ({fma_peak(dtype)[1]})")
    best = seconds.get("openvino bfloat16") or seconds[names[0]]
    print(f"  {'':28}{'images/s':>24}{'of peak':>10}{'× reference':>14}")
    for name, found in seconds.items():
        dtype = "bfloat16" if "bfloat16" in name else "float32"
        rates = [images / s for s in found]
        of_peak = median(r * flops / p for r, p in zip(rates, peaks[dtype], strict=True))
        ratio = median(b / s for b, s in zip(best, found, strict=True))
        print(f"  {name:28}{spread(rates):>24}{of_peak:>10.2f}{ratio:>14.2f}")
    print("  reference: openvino bfloat16, or the first contestant where it is absent")


if __name__ == "__main__":
    main()
