"""What a model remembers of its reference: importance of weights, anchors, summaries of labels."""
