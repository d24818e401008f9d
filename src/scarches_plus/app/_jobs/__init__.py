"""Keep jobs in a folder, and run them in order in worker processes."""
