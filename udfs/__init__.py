"""The kernels: one SQL function a file, Arrow in, Arrow out; only they know TensorFlow."""
