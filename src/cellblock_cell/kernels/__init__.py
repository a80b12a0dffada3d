"""What runs user code and keeps its variables: one file a language."""
