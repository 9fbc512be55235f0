"""Which variant is best for labels.parquet: what was frozen runs once, then each one's own end."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

BATCH = 32
SIDE = 224
cv2.setNumThreads(1)

labels = pd.read_parquet("labels.parquet")
core = ov.Core()
options = {"INFERENCE_PRECISION_HINT": "bf16"}
trunk = core.compile_model("variants/trunk.xml", "CPU", options)
ends = {path.stem: path for path in sorted(Path("variants").glob("variant*.xml"))}
tuned = {name: core.compile_model(path, "CPU", options) for name, path in ends.items()}
found = {name: [] for name in tuned}


def read(file):
    pixels = cv2.imread(str(Path("photos", file)), cv2.IMREAD_COLOR)
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


with ThreadPoolExecutor() as pool:
    for first in range(0, len(labels), BATCH):
        pixels = np.stack(list(pool.map(read, labels.file.iloc[first : first + BATCH])))
        frozen = trunk(pixels)[0]
        for name, network in tuned.items():
            found[name].append(network(frozen)[0].copy())

odd = labels.odd.to_numpy()
train, test = train_test_split(np.arange(len(odd)), test_size=0.2, random_state=7)
scores = {}
for name, parts in found.items():
    values = np.concatenate(parts)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(values[train], odd[train])
    scores[name] = f1_score(odd[test], model.predict(values[test]))
Path("scores.json").write_text(json.dumps(scores))
