"""What the commands share: options, output, and the ways to a running server or to cells of their own."""
