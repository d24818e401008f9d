"""Layers that the modules put in the place of those of scvi-tools."""
