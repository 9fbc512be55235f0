"""The trainers: one file each, found by its name."""
