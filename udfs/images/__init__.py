"""Bytes → pixels: where images come from, what they are, how they are decoded."""
