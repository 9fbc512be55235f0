"""Make what the jobs start from: networks in every tool's form, pictures and tables.

Networks are made by Keras in a process of its own: `python prepared.py CNN FOLDER`. Their weights
are random values in files: cost, not quality.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
LAYERS = {
    "resnet50": ("conv4_6", "conv5_1", "conv5_2", "conv5_3", "avg_pool"),
    "vgg16": ("fc6", "fc7", "fc8"),
    "alexnet": ("conv5", "fc6", "fc7", "fc8"),
}
"""Of the paper's workloads; in place of ResNet50's classifier, fc6, stands what is below it."""
EARLY = ("conv2_3", "conv3_4")
FROZEN, LAYER = "conv5_block2_out", "avg_pool"
"""Of the variants: below FROZEN they are alike, and LAYER is compared."""
N_COLUMNS = 129  # of the paper's Foods
CHEAP_SHARE, PRICE_LIMIT = 0.1, 10.0
VARIANTS = "variants"


# ── networks ────────────────────────────────────────────────────────────────────────────────────


def make_network(what: str, folder: Path, n_variants: int = 10) -> None:
    """Write a network into `folder`, in a process of its own."""
    unfinished = folder.with_name(f".{folder.name}-{os.getpid()}")
    unfinished.mkdir(parents=True)
    path = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, what, str(unfinished), str(n_variants)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(unfinished)
        sys.exit(f"{what} cannot be made, for which Keras and OpenVINO are needed:\n{done.stderr}")
    unfinished.rename(folder)


def _write_network(cnn: str, folder: Path) -> None:
    import keras

    from vista_sql import roster, weights

    facts = roster.load(cnn)
    network = weights.load_network(facts, weights.resolve(facts, "random"))
    network.save_weights(folder / "network.weights.h5")
    np.savez(folder / "network.npz", **{one.path: np.asarray(one) for one in network.weights})
    pixels = keras.Input(facts.input_shape, name="pixels")
    less = [-mean for mean in facts.preprocessing.mean]
    prepared = keras.layers.Rescaling(1.0, less)(pixels)  # pixels come as OpenCV's, in BGR

    def whole(layers: tuple[str, ...], pooled: bool) -> Any:
        named = [network.get_layer(facts.canonical(layer)).output for layer in layers]
        outputs = keras.Model(network.inputs, named)(prepared)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        outputs = [_pool(one) if pooled else one for one in outputs]
        return keras.Model(pixels, dict(zip(layers, outputs, strict=True)))

    chosen = whole(LAYERS[cnn], pooled=True)
    chosen.save(folder / "network.keras")
    _convert(chosen, "uint8", folder / "network.xml")
    if cnn == "resnet50":
        (folder / "early").mkdir()
        early = whole(EARLY, pooled=False)
        early.save(folder / "early" / "network.keras")
        _convert(early, "uint8", folder / "early" / "network.xml")


def _pool(x: Any) -> Any:
    """Pool a map to 2 × 2 as ours does: quadrants, which share the middle of an odd side."""
    import keras

    if len(x.shape) != 4:
        return x
    side = x.shape[1]
    return keras.layers.MaxPooling2D((side + 1) // 2, side // 2)(x)


def _convert(model: Any, dtype: str, path: Path) -> None:
    """Write a Keras model for OpenVINO; its outputs have their names there."""
    import openvino as ov
    import tensorflow as tf

    spec = tf.TensorSpec((None, *model.inputs[0].shape[1:]), dtype, name="pixels")
    function = tf.function(
        lambda x: model(tf.cast(x, "float32"), training=False), input_signature=[spec]
    )
    made = ov.convert_model(function.get_concrete_function())
    ordered = [made.output(name) for name in model.output]
    ov.save_model(ov.Model(ordered, made.get_parameters()), path, compress_to_fp16=False)


def _write_variants(folder: Path, n_variants: int) -> None:
    import keras
    from bench_variants import save_variants

    save_variants("resnet50", n_variants, str(folder))
    for number in range(n_variants):
        whole = keras.saving.load_model(folder / f"variant{number}.keras", compile=False)
        network = next(one for one in whole.layers if isinstance(one, keras.Model))
        values = {one.path: np.asarray(one) for one in network.weights}
        np.savez(folder / f"variant{number}.npz", **values)
        frozen = network.get_layer(FROZEN).output
        end = keras.Model(frozen, {LAYER: network.get_layer(LAYER).output})
        _convert(end, "float32", folder / f"variant{number}.xml")
        if number == 0:
            pixels = keras.Input(network.input.shape[1:], name="pixels")  # OpenCV's, in BGR
            scaled = keras.layers.Rescaling(1 / 127.5, -1)(pixels[..., ::-1])
            below = keras.Model(network.input, frozen)(scaled)
            _convert(keras.Model(pixels, {"frozen": below}), "uint8", folder / "trunk.xml")


# ── pictures and tables ─────────────────────────────────────────────────────────────────────────


def write_photos(folder: Path, images: list[bytes], first: int = 0) -> list[str]:
    folder.mkdir(exist_ok=True)
    names = [f"{first + i:06}.jpg" for i in range(len(images))]
    for name, data in zip(names, images, strict=True):
        (folder / name).write_bytes(data)
    return names


def blueness(folder: Path, names: list[str]) -> np.ndarray:
    """Return whether each picture is bluer than the middle one: a label that can be learnt."""
    means = [cv2.imread(str(folder / name), cv2.IMREAD_REDUCED_COLOR_8)[..., 0] for name in names]
    values = np.array([mean.mean() for mean in means])
    return (values > np.median(values)).astype(np.int64)


def write_products(folder: Path, names: list[str], n_products: int) -> None:
    """Write products.parquet, some to a picture; a tenth cost less than PRICE_LIMIT."""
    chance = np.random.default_rng(0)
    label = dict(zip(names, blueness(folder / "photos", names), strict=True))
    files = chance.choice(names, n_products)
    cheap = chance.random(n_products) < CHEAP_SHARE
    dear = chance.uniform(PRICE_LIMIT, 100, n_products)
    table = {
        "product": np.arange(n_products),
        "file": files,
        "price": np.where(cheap, chance.uniform(1, PRICE_LIMIT, n_products), dear),
        "rating": chance.uniform(1, 5, n_products),
        "sells": np.array([label[file] for file in files]),
    }
    pq.write_table(pa.table(table), folder / "products.parquet")


def write_foods(folder: Path, names: list[str]) -> None:
    """Write foods.parquet: a row of the paper's 129 columns for each picture."""
    chance = np.random.default_rng(0)
    label = blueness(folder / "photos", names)
    table: dict[str, Any] = {"file": names}
    for number in range(N_COLUMNS):
        table[f"x{number}"] = chance.normal(0.1 * label * (number % 10 == 0), 1.0)
    pq.write_table(pa.table(table | {"veg": label}), folder / "foods.parquet")


def write_labels(folder: Path, names: list[str]) -> None:
    odd = blueness(folder / "photos", names)
    pq.write_table(pa.table({"file": names, "odd": odd}), folder / "labels.parquet")


if __name__ == "__main__":
    if sys.argv[1] == VARIANTS:
        _write_variants(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        _write_network(sys.argv[1], Path(sys.argv[2]))
