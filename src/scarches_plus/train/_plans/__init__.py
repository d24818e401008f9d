"""Define training plans, Adam strides and exact freezing, one file for each."""
