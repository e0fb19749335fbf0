"""The version of this package, which is recorded in model folders and reports."""

__version__ = "0.1.0"
