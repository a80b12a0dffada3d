"""Prints the page that documents the settings."""

from __future__ import annotations

import sys

from cellblock.settings.table import markdown

if __name__ == "__main__":
    sys.stdout.write(markdown())
