"""A model as plain data and back, held against its weights before any memory is taken for the network."""
