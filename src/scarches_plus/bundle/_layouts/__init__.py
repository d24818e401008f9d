"""Read and write saved models in every layout that scvi-tools and this package use.

Models are found by the names of their files and read as plain values, one file for each layout. Another layout is a row
in ``_finding/_find.py`` and a reader that returns a ``SavedModel``.
"""
