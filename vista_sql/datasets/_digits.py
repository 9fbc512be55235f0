"""scikit-learn's handwritten digits → PNG files in a folder, and a DuckDB file about them.

`digits` writes the handwritten digits 5 to 9 of scikit-learn, which the bundled LeNet-5 has never
seen: it was trained on 0 to 4.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DATABASE = "demo.duckdb"
IMAGES = "images"
SMALLEST_DIGIT = 5
BANDS = 4  # the ink of 8 rows (columns), summed two by two: where it lies, not what it draws
MOST_INK = 16  # a scan counts the black ones of 4 × 4 points for each pixel
FIRST_LINE = "Handwritten digits 5 to 9, written by vista_sql."
README = f"""{FIRST_LINE}

{IMAGES}/{" " * 8}one PNG file per image: 8 x 8 pixels, bright ink on a dark ground
{DATABASE}   table digits: id, digit, and how much ink lies where (not the pixels)
               table digit_images: id, path
The scans are the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and
C. Kaynak, UCI Machine Learning Repository), as scikit-learn ships them.
"""


def digits(folder: str | Path) -> None:
    """Write the handwritten digits 5 to 9: PNG files, and two tables in a DuckDB file.

    The same files and rows each time; other files in the folder, and other tables in the database
    file, stay as they are.

    Args:
        folder: created if absent. `images/*.png` and `demo.duckdb` are written into it; table
            `digits` (id, digit, ink_mass, rows_1 …, columns_1 …), table `digit_images` (id, path:
            absolute).
    """
    import cv2
    import duckdb
    import numpy as np
    import pyarrow as pa
    from sklearn.datasets import load_digits

    from vista_sql.hosts.duckdb.database import create_file

    folder = Path(folder).absolute()
    images = folder / IMAGES
    images.mkdir(parents=True, exist_ok=True)
    (folder / "README.txt").write_text(README, encoding="utf-8")
    loaded = load_digits()
    kept = loaded.target >= SMALLEST_DIGIT
    scans, labels = loaded.images[kept], loaded.target[kept]
    paths = [images / f"{id_:04}.png" for id_ in range(len(scans))]
    pixels = np.rint(scans * (255 / MOST_INK)).astype(np.uint8)
    for path, image in zip(paths, pixels, strict=True):
        path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    ids = pa.array(range(len(scans)), pa.int32())
    about = pa.table({"id": ids, "digit": pa.array(labels, pa.int32())} | _ink(scans))
    files = pa.table({"id": ids, "path": [str(path) for path in paths]})
    create_file(str(folder / DATABASE), {})
    with duckdb.connect(str(folder / DATABASE)) as con:
        con.begin()
        for name, table in (("digits", about), ("digit_images", files)):
            con.register("written", table)
            con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM written ORDER BY id")
            con.unregister("written")
        con.commit()


def is_digits(folder: str | Path) -> bool:
    """Return whether `digits` wrote a folder, or began to."""
    try:
        with (Path(folder) / "README.txt").open(encoding="utf-8") as file:
            return file.readline().rstrip("\n") == FIRST_LINE
    except (OSError, UnicodeDecodeError):
        return False


def _ink(scans: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return how much ink there is, and how much in each band of rows and of columns.

    Args:
        scans: (images, 8 rows, 8 columns), 0 (paper) to 16 (ink).
    """
    rows = scans.reshape(-1, BANDS, 8 // BANDS, 8).sum((2, 3))
    columns = scans.reshape(-1, 8, BANDS, 8 // BANDS).sum((1, 3))
    return (
        {"ink_mass": scans.sum((1, 2))}
        | {f"rows_{band + 1}": rows[:, band] for band in range(BANDS)}
        | {f"columns_{band + 1}": columns[:, band] for band in range(BANDS)}
    )
