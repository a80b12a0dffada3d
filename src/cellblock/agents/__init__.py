"""Agents of this machine: handlers of people, each served by a process of its own."""
