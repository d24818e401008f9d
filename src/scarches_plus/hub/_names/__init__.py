"""Resolve model names to index entries, paths or addresses.

A name may come with a version, or be a DOI.
"""
