"""Upload bundles to the registries Zenodo and Hugging Face behind one interface."""
