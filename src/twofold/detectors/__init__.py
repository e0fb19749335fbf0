"""Finders of regions in pictures, for preparing data: too heavy for a model folder, so run beforehand."""
