"""What sessions are given beside a cell: certificates, file systems, networks and roles, by ARN."""
