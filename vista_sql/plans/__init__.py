"""The plans: one file each."""
