"""Estimate gradients per cell, Gaussian mixtures, temperatures and posteriors.

Models remember what is estimated here.
"""
