"""Fast training of condition columns: a reduced module, strides, counts encoded as they are stored."""
