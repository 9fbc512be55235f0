"""What the networks of several CNNs share: their own layers, families, published weights."""
