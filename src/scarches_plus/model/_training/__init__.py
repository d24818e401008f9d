"""What surrounds a training: checked options, defaults, seeds, interruption."""
