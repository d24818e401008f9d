"""Measure how well an embedding agrees with proteins, one file for each measure."""
