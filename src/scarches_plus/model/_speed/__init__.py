"""Speed up surgery training and embedding: condensed modules, strides, sparse counts."""
