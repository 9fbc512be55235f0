"""Rows → features: read, look up, decode, infer, keep."""
