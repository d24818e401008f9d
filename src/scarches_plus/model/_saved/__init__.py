"""Save and load models: folders of scvi-tools, models as plain data, and checks of such data."""
