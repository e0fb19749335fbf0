"""Batch extraction from files to files, shard by shard, so that a killed run can be resumed.

A shard is a number of consecutive rows of the input, and a part is its output. Extracting a shard is a pure
step: the bytes of the part depend only on the rows, the model and the options.
"""
