"""Models: encoder, fusion and head combined, and the one table of names. Needs the `train` extra."""
