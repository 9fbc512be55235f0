"""The engines that run networks, a folder each; `../engine.py` says what one holds."""

ENTRIES = "folders"
