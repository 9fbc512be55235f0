"""A network as data → an ONNX model: one emitter, for an engine, for export and for checks.

`kinds/` has a file per kind of step, found by the name of the operation's class in snake case;
groups of steps become one folded convolution or product with what follows it (`groups.py`), pooling
of outputs stands in the model (`outputs.py`), and `writer.py` is the model being written.
"""

from __future__ import annotations

from .emit import Output, emit
from .unwritable import unwritable

__all__ = ["Output", "emit", "unwritable"]
