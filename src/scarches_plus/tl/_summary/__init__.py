"""Summarise a reference, so that its cells need not travel."""
