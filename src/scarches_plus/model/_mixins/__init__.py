"""Extend the model classes of scvi-tools by methods, one mixin for each file."""
