"""Metrics from predictions and gold: plain data in, plain data out."""
