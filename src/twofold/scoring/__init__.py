"""Evaluates an extractor on labelled posts: scores, trust, domain shift, robustness; prints nothing."""
