"""Compute sums, compositions, label propagation and tests over groups of cells."""
