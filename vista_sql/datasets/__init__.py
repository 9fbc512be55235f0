"""Data to try vista_sql on: real digits, and generated tables of the paper's shapes.

`digits` writes the handwritten digits 5 to 9 of scikit-learn, which the bundled LeNet-5 has never
seen. `foods` and `amazon` write generated rows and images, as many as asked, in the shape of the
paper's Foods and Amazon: `python -m vista_sql.datasets foods FOLDER --rows 1000`.
"""

from __future__ import annotations

from vista_sql.datasets._digits import DATABASE, IMAGES, digits, is_digits
from vista_sql.datasets._generated import GENERATED, amazon, foods

__all__ = ["DATABASE", "GENERATED", "IMAGES", "amazon", "digits", "foods", "is_digits"]
