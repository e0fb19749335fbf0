"""Heads: what turns fused states into decisions. Needs the `train` extra."""
