"""Share parts among penalties: captured activations, kernels, sampled reference cells."""
