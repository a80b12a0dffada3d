"""What runs inside a cell; it never imports the host's package."""
