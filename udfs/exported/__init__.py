"""A kept model → one ONNX file: pixels and structured columns in, probabilities (or a number) out.

In it are the network up to the model's layers, pooling, scaling and regression, with all weights.
`backbone.py` finds the network, `columns.py` and `scores.py` are what stands beside and behind it,
`metadata.py` is what the file says of itself, `writing.py` the file.
"""

from __future__ import annotations

from .writing import export

__all__ = ["export"]
