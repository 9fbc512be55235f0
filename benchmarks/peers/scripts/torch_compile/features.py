"""Features of photos/ to features.parquet: `features.py DTYPE CNN LAYER…`."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch._inductor.config
from network import ResNet50

BATCH = 32
SIDE = 224
dtype, layers = getattr(torch, sys.argv[1]), sys.argv[3:]

cv2.setNumThreads(1)
torch._inductor.config.freezing = True
network = ResNet50(layers, pooled=True).load("network.npz").eval().to(dtype)
network = network.to(memory_format=torch.channels_last)
compiled = torch.compile(network)


def read(path):
    large = path.stat().st_size > 1_000_000  # a camera's: an eighth of its size is enough
    kind = cv2.IMREAD_REDUCED_COLOR_8 if large else cv2.IMREAD_COLOR
    pixels = cv2.imread(str(path), kind)
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


paths = sorted(Path("photos").iterdir())
writer = None
with ThreadPoolExecutor() as pool, torch.inference_mode():
    for first in range(0, len(paths), BATCH):
        batch = paths[first : first + BATCH]
        pixels = np.stack(list(pool.map(read, batch)))
        pixels = np.pad(pixels, [(0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)])
        outputs = compiled(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        columns = {"file": pa.array([path.name for path in batch])}
        for layer, output in zip(layers, outputs, strict=True):
            values = output[: len(batch)].float().numpy()
            columns[layer] = pa.FixedSizeListArray.from_arrays(
                pa.array(values.ravel()), values.shape[1]
            )
        table = pa.table(columns)
        if writer is None:
            writer = pq.ParquetWriter(
                "features.parquet",
                table.schema,
                compression="none",
                use_dictionary=False,
                write_statistics=False,
            )
        writer.write_table(table)
writer.close()
