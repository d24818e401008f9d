"""Fit a classifier of expression: choose genes, regularise on held-out batches, calibrate. Functions of arrays."""
