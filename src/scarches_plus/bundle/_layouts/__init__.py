"""Layouts in which models lie on disk, one file each: found by the names of their files, read as plain values.

Another layout is a row in ``_find.py`` and a reader that returns a ``SavedModel``.
"""
