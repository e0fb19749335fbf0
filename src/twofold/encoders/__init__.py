"""Encoders: modules that turn word pieces or pixels into states. Needs the `train` extra."""
