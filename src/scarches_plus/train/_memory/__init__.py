"""Store what a model remembers of its reference: importance, anchors, label summaries."""
