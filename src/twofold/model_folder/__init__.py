"""The model folder: its configuration, its files and checks, and its model card."""
