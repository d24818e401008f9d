"""All scores of an embedding at once, and their report."""
