"""Many machines as one service: nodes that run cells, front ends that find them."""
