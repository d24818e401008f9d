"""Join studies on their genes: in memory, or cell by cell from disk to disk."""
