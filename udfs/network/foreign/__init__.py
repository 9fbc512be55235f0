"""A network in a user's `.onnx` file: checked, described, and with our input and outputs put on."""
