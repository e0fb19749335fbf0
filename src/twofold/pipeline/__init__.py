"""From posts to extractions: one inference path, and the Python interface to it."""
