"""Read indexes of models: of the package, of the web, and of known references."""
