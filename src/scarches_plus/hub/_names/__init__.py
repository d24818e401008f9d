"""Resolve what users call a model: path, name, version, DOI, address."""
