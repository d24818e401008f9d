"""Methods that the model classes add to those of scvi-tools, one mixin each."""
