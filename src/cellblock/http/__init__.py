"""HTTP: bytes of connections to calls of the service, and answers back."""
