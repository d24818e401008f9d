"""Save and load models: folders of scvi-tools, models as plain data, and what such data may not say."""
