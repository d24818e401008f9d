"""Define the training recipes of published reference models, one file for each paper."""
