"""Indexes of models: of the package, of the web, and the list of references that others published."""
