"""Compare clusters and labels across species, tissues and atlases."""
