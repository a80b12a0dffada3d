"""Bytes to values and back: the AWS protocol, pure functions only."""
