"""Keep what a reference says without its cells: one file, field by field."""
