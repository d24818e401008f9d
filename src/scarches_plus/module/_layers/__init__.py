"""Define layers that replace those of scvi-tools' modules."""
