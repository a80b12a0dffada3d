"""The values that all layers hand each other; no I/O."""
