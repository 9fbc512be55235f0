"""What there is to work with: cores, bytes, and what they do in a second."""
