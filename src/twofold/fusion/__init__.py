"""Fusions: one interface, one file per method. Needs the `train` extra."""
