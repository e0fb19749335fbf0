"""Calibration on held-out posts: temperatures, isotonic maps, conformal sets, risk control, review policy."""
