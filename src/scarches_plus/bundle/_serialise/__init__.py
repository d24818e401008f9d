"""Serialise a model to plain data and back, checked against its weights.

The check comes before any memory is taken for the network.
"""
