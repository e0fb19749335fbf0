"""Extraction from tables of posts to columns of results: Arrow, pandas and Polars.

Tables are exchanged through Arrow. This package opens no file, and imports a library of tables only when it
is given such a table.
"""
