"""`cellblock repl`: a session that a person types into."""
