"""Scores of markers, by which cells are chosen as seeds of labels."""
