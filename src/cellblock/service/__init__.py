"""The operations of the API and the tools, after HTTP and before cells."""
