"""Prepare cells for a model: registry, modalities, groups for penalties."""
