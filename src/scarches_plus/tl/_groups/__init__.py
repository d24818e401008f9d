"""Arithmetic on groups of cells: sums of expression, composition, propagation on graphs, tests."""
