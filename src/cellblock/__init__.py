"""A self-hosted code interpreter for AI agents that speaks the AgentCore Code Interpreter API."""
