"""Votes of reference cells and of label summaries, by which cells get their labels."""
