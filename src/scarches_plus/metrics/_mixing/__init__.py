"""Measure how well batches mix in an embedding, one file for each measure."""
