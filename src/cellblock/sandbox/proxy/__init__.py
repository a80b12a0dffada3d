"""The way out for sessions without packets of their own: a process of the host that connects for them to what they may reach."""
