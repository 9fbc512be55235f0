"""How a step is written in ONNX: a file per kind of operation (`steps.py`), each with `emit`."""
