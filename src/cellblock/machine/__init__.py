"""What the program takes from its machine: the data directory, sockets, descriptors, signals, the clock."""
