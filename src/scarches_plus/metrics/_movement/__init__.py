"""Measure how far cells moved between two embeddings, one file for each measure."""
