"""Train the bundled LeNet-5 on the handwritten digits 0 to 4 that ship with scikit-learn.

Writes vista_sql/roster/lenet5_bundled.weights.h5 and prints its sha256, which belongs into
vista_sql/roster/lenet5.py, and how well the features transfer to the digits 5 to 9, which training
never sees.

Usage: python scripts/train_lenet5.py [--check]   (--check: train and print, write nothing)
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import TypeAlias

import cv2
import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vista_sql import roster

TARGET = Path(roster.__file__).parent / "lenet5_bundled.weights.h5"
SEED = 1998
EPOCHS = 40
BATCH = 32
SHIFT = 2  # pixels of the 32 × 32 input that a training image is moved by, at most

Array: TypeAlias = npt.NDArray[np.float32]


def network_input(scans: npt.NDArray[np.float64]) -> Array:
    """Turn scans into what the network sees: through bytes, as if they were images in a table.

    Args:
        scans: (n, 8, 8), 0 (paper) to 16 (ink).

    Returns:
        (n, 32, 32, 1), resized and scaled as `Preprocessing` of the CNN says.
    """
    facts = roster.load("lenet5")
    height, width, _ = facts.input_shape
    pixels = np.rint(scans * (255 / 16)).astype(np.uint8)
    resized = [cv2.resize(scan, (width, height), interpolation=cv2.INTER_LINEAR) for scan in pixels]
    mean = np.asarray(facts.preprocessing.mean, np.float32)
    scale = np.asarray(facts.preprocessing.scale, np.float32)
    return (np.stack(resized)[..., None].astype(np.float32) - mean) * scale


def train(images: Array, labels: npt.NDArray[np.int64]) -> keras.Model:
    """Return a LeNet-5 trained on images that are moved a little, anew in each epoch."""
    keras.utils.set_random_seed(SEED)
    network = roster.load("lenet5").build()
    logits = keras.Model(network.input, network.get_layer("logits").output)
    steps = EPOCHS * -(-len(images) // BATCH)
    logits.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    random = np.random.default_rng(SEED)
    for _ in range(EPOCHS):
        moves = random.integers(-SHIFT, SHIFT + 1, (len(images), 2))
        moved = np.stack([np.roll(x, m, (0, 1)) for x, m in zip(images, moves, strict=True)])
        order = random.permutation(len(images))
        logits.fit(moved[order], labels[order], batch_size=BATCH, shuffle=False, verbose=0)
    return network


def transfer(network: keras.Model, scans: npt.NDArray[np.float64], labels: Array) -> None:
    """Print how well a logistic regression tells digits apart by each kind of feature."""
    train_rows, test_rows = train_test_split(
        np.arange(len(labels)), test_size=0.3, stratify=labels, random_state=SEED
    )
    facts = roster.load("lenet5")
    names = facts.feature_layers
    outputs = [network.get_layer(facts.canonical(name)).output for name in names]
    tops = keras.Model(network.input, outputs)
    quarters = scans.reshape(-1, 4, 2, 8).sum((2, 3)), scans.reshape(-1, 8, 4, 2).sum((1, 3))
    sets = {
        "ink": scans.sum((1, 2))[:, None],
        "ink by quarter of rows and columns": np.hstack(quarters),
        "ink by row and column": np.hstack((scans.sum(2), scans.sum(1))),
    } | dict(zip(names, (np.asarray(x) for x in tops(network_input(scans))), strict=True))
    for name, features in sets.items():
        features = features.reshape(len(features), -1)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
        model.fit(features[train_rows], labels[train_rows])
        accuracy = model.score(features[test_rows], labels[test_rows])
        print(f"digits 5 to 9, {features.shape[1]:5} features, {name}: {accuracy:.4f}")


def main() -> None:
    """Train, measure, and write the file unless only asked to check."""
    tf.config.experimental.enable_op_determinism()
    digits = load_digits()
    known = digits.target < 5
    images, labels = network_input(digits.images[known]), digits.target[known]
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=SEED
    )
    network = train(x_train, y_train)
    guesses = np.argmax(network(x_test), axis=1)
    print(f"digits 0 to 4, held out ({len(y_test)} images): {np.mean(guesses == y_test):.4f}")
    transfer(network, digits.images[~known], digits.target[~known])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / TARGET.name
        network.save_weights(path)
        written = path.read_bytes()
    print(f"{len(written)} bytes, sha256 {hashlib.sha256(written).hexdigest()}")
    if "--check" not in sys.argv[1:]:
        TARGET.write_bytes(written)


if __name__ == "__main__":
    main()
