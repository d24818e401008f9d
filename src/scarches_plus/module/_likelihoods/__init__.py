"""Likelihoods of counts and of normalised expression, and the mask of genes."""
