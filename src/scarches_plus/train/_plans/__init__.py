"""Training plans, optimiser strides and exact freezing, one file each."""
