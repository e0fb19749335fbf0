"""Tables of posts in, columns of results out: Arrow record batches, and data frames of pandas and Polars.

Arrow is the interchange. Nothing here opens a file, and nothing is imported before a table comes.
"""
