"""The one way from a session to S3: a process of the host that knows what each session's role may reach, and nothing else."""
