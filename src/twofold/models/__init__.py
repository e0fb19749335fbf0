"""Models: encoder, fusion and head put together, and the one table of names. Needs the `train` extra."""
