"""Synthetic data: a controlled set in which the picture decides, its drawings, and posts with typos."""
