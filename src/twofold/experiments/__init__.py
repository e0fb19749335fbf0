"""Experiments: tables of methods × data sets × seeds, run resumably and rendered as pages."""
