"""Parts that penalties and their sum share: captured activations, kernels, sampled reference cells."""
