"""Which vectors are near to which: exact distances from blocked matrix products."""
