"""Define penalties that may be added to the loss of a training, one file for each."""
