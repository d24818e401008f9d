"""Measures of how far cells moved between two embeddings, one file each."""
