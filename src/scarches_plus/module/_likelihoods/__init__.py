"""Compute likelihoods of counts and of normalised expression, and mask genes."""
