"""Estimate what a model remembers: gradients per cell, mixtures, temperatures, observed cells."""
