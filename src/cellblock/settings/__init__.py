"""The settings: one table from options, environment and file; `python -m cellblock.settings` prints their page."""
