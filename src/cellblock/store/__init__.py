"""What outlives a server: interpreters, sessions, access keys, client tokens."""
