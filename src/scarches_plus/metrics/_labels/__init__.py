"""Measures of how well labels are kept, separated and predicted, one file each."""
