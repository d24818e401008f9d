"""Evaluate embeddings by all scores at once, and report them."""
