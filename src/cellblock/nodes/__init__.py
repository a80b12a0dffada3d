"""Machines that run cells: making a cell, and speaking with it."""
