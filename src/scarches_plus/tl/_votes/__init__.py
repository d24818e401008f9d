"""Compute votes of reference cells and of label summaries for label transfer."""
