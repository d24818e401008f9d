"""Cells as a model takes them: registry, preparation, modalities, groups for penalties."""
