"""Record the provenance of embeddings, and the drift of the reference."""
