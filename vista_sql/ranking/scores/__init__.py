"""The scores."""
