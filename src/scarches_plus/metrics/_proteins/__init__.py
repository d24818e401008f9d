"""Measures of proteins, one file each."""
