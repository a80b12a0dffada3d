"""What is told of requests and sessions: logs, counters, traces, and the pages that show them."""
