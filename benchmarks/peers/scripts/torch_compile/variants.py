"""Which variant is best for labels.parquet; what was frozen runs once: `variants.py DTYPE`."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import torch
import torch._inductor.config
from network import ResNet50
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

BATCH = 32
SIDE = 224
dtype = getattr(torch, sys.argv[1])
cv2.setNumThreads(1)
torch._inductor.config.freezing = True

labels = pq.read_table("labels.parquet").to_pydict()
files, odd = labels["file"], np.array(labels["odd"])
network = ResNet50(["conv5_2"], pooled=False).load("variants/variant0.npz").eval()
network.mean.fill_(127.5)
network.scale = 1 / 127.5
network = network.to(dtype).to(memory_format=torch.channels_last)
trunk = torch.compile(network)
ends = {}
for path in sorted(Path("variants").glob("variant*.npz")):
    own = ResNet50([], pooled=False).load(str(path)).eval().blocks["conv5_3"]
    ends[path.stem] = own.to(dtype).to(memory_format=torch.channels_last)
found = {name: [] for name in ends}


def read(file):
    pixels = cv2.imread(str(Path("photos", file)), cv2.IMREAD_COLOR)
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[..., ::-1]


with ThreadPoolExecutor() as pool, torch.inference_mode():
    for first in range(0, len(files), BATCH):
        batch = files[first : first + BATCH]
        pixels = np.stack(list(pool.map(read, batch)))
        pixels = np.pad(pixels, [(0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)])
        (frozen,) = trunk(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        frozen = frozen.reshape(BATCH, 7, 7, -1).permute(0, 3, 1, 2)  # it came flat
        for name, end in ends.items():
            found[name].append(end(frozen).mean((2, 3))[: len(batch)].float().numpy())

train, test = train_test_split(np.arange(len(odd)), test_size=0.2, random_state=7)
scores = {}
for name, parts in found.items():
    values = np.concatenate(parts)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(values[train], odd[train])
    scores[name] = f1_score(odd[test], model.predict(values[test]))
Path("scores.json").write_text(json.dumps(scores))
