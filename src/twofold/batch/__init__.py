"""Files in, files out: many posts, extracted shard by shard, so that a run that died goes on where it stood.

A shard is some rows of the input in order. Extracting one is a pure step: the bytes of its part depend on its
rows, the model and the options, and on nothing else.
"""
