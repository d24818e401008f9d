"""Perform architecture surgery: query models, strategies, further labels."""
