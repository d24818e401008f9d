"""Prepare and guard a training: checked options, defaults, seeds, interruption."""
