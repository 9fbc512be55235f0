"""Write tests/unit/udfs/hog_reference.npz: images, and what scikit-image's HOG is of them.

    pip install scikit-image scikit-learn && python scripts/hog_reference.py

scikit-image is not among the tests' requirements, since nothing else needs it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage
from skimage import data
from skimage.feature import hog
from skimage.transform import resize
from sklearn.datasets import load_digits

TARGET = Path(__file__).parents[1] / "tests" / "unit" / "udfs" / "hog_reference.npz"


def images() -> dict[str, np.ndarray]:
    """Return gray uint8 images: photographs, a digit, noise, a ramp, one value; one not square."""
    rng = np.random.default_rng(17)
    photographs = {"camera": data.camera(), "coins": data.coins(), "moon": data.moon()}
    found = {
        name: (resize(image, (64, 64), anti_aliasing=True) * 255).round().astype(np.uint8)
        for name, image in photographs.items()
    }
    found["digit"] = np.kron(load_digits().images[3] * 15, np.ones((8, 8))).astype(np.uint8)
    found["noise"] = rng.integers(0, 256, (64, 64), dtype=np.uint8)
    found["ramp"] = np.add.outer(np.arange(64), 2 * np.arange(64)).astype(np.uint8)
    found["flat"] = np.full((64, 64), 77, np.uint8)
    found["wide"] = rng.integers(0, 256, (40, 72), dtype=np.uint8)
    return found


def main() -> None:
    """Write the file."""
    arrays: dict[str, np.ndarray] = {"version": np.array(skimage.__version__)}
    for name, image in images().items():
        arrays[f"{name}_image"] = image
        arrays[f"{name}_hog"] = hog(
            image / 255,
            orientations=9,
            pixels_per_cell=(8, 8),
            cells_per_block=(2, 2),
            block_norm="L2-Hys",
        ).astype(np.float32)
    np.savez_compressed(TARGET, **arrays)
    print(TARGET, TARGET.stat().st_size, "bytes, scikit-image", skimage.__version__)


if __name__ == "__main__":
    main()
