"""Assess a reference before it is used: its studies against one another, its labels, and a query against it."""
