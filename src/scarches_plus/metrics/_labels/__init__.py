"""Measure how well labels are kept, separated and predicted, one file for each measure."""
