"""Live sessions: their lifetimes, warm cells, limits and what they use."""
