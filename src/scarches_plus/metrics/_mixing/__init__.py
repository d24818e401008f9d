"""Measures of how well batches mix in an embedding, one file each."""
