"""Save and load models: as scvi-tools folders or as plain data."""
