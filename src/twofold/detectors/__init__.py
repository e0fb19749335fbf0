"""Detectors of regions in pictures, run on data beforehand: they are too large for a model folder."""
