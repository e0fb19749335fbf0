"""The version of this package, which model folders and reports name."""

__version__ = "0.1.0"
