"""The paper's workload over foods.parquet and photos/, a layer at a time: `foods.py DTYPE CNN`."""

import json
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from vista_sql.roster.parts import layers  # AlexNet has two that Keras has not

warnings.simplefilter("ignore", ConvergenceWarning)  # ten iterations are what is asked for
layers.custom_layers()
tf.config.optimizer.set_experimental_options({"remapping": False})  # it fuses groups wrongly
foods = pd.read_parquet("foods.parquet")
labels = foods.veg.to_numpy()
given = foods.drop(columns=["file", "veg"]).to_numpy(np.float32)
train, test = train_test_split(np.arange(len(foods)), test_size=0.2, random_state=7)
whole = keras.saving.load_model(f"{sys.argv[2]}/network.keras", compile=False)
size = whole.input.shape[1:3]
scores = {}
for name, output in whole.output.items():
    images = [
        keras.utils.load_img(Path("photos", file), target_size=size, interpolation="box")
        for file in foods.file
    ]
    pixels = np.stack([np.asarray(image)[..., ::-1] for image in images])
    network = keras.Model(whole.input, output)
    values = network.predict(pixels, batch_size=32, verbose=0).reshape(len(foods), -1)
    data = np.hstack([given, values])
    scaler = StandardScaler().fit(data[train])
    regression = LogisticRegression(
        solver="saga", l1_ratio=0.5, C=1 / (0.01 * len(train)), max_iter=10, random_state=7
    )
    regression.fit(scaler.transform(data[train]), labels[train])
    scores[name] = f1_score(labels[test], regression.predict(scaler.transform(data[test])))
Path("scores.json").write_text(json.dumps(scores))
