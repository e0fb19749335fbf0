"""Fusions: one contract, one file a method. Needs the `train` extra."""
