"""Synthetic data: a set in which the picture decides, drawings for it, and posts with typos."""
