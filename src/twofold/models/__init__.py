"""Models: encoder, fusion and head combined, and the table of method names. Needs the `train` extra."""
