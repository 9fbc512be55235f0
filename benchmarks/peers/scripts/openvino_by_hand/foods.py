"""The paper's workload over foods.parquet and photos/: `foods.py DTYPE CNN`."""

import json
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

BATCH = 32
warnings.simplefilter("ignore", ConvergenceWarning)  # ten iterations are what is asked for
cv2.setNumThreads(1)

foods = pd.read_parquet("foods.parquet")
options = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "THROUGHPUT"}
network = ov.Core().compile_model(f"{sys.argv[2]}/network.xml", "CPU", options)
side = network.input().partial_shape[1].get_length()
found = {}


def read(file):
    pixels = cv2.imread(str(Path("photos", file)), cv2.IMREAD_COLOR)
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)


def keep(request, first):
    found[first] = [np.array(output.data) for output in request.output_tensors]


queue = ov.AsyncInferQueue(network)
queue.set_callback(keep)
with ThreadPoolExecutor() as pool:
    for first in range(0, len(foods), BATCH):
        batch = foods.file.iloc[first : first + BATCH]
        queue.start_async(np.stack(list(pool.map(read, batch))), first)
queue.wait_all()

labels = foods.veg.to_numpy()
given = foods.drop(columns=["file", "veg"]).to_numpy(np.float32)
train, test = train_test_split(np.arange(len(foods)), test_size=0.2, random_state=7)
scores = {}
for i, output in enumerate(network.outputs):
    values = np.concatenate([found[first][i] for first in sorted(found)]).reshape(len(foods), -1)
    data = np.hstack([given, values])
    scaler = StandardScaler().fit(data[train])
    regression = LogisticRegression(
        solver="saga", l1_ratio=0.5, C=1 / (0.01 * len(train)), max_iter=10, random_state=7
    )
    regression.fit(scaler.transform(data[train]), labels[train])
    told = regression.predict(scaler.transform(data[test]))
    scores[output.any_name] = f1_score(labels[test], told)
Path("scores.json").write_text(json.dumps(scores))
