"""Robustness to pictures: predictions with mismatched, blank, perturbed, corrupt and missing pictures."""
