"""Training: posts in, a model folder out. Needs the `train` extra."""
