"""Upload to registries: Zenodo and Hugging Face behind one interface."""
