"""Register cells with a model: read their columns and registry, and group them for penalties."""
