"""Records of what was done to an embedding, and of how far the reference moved."""
