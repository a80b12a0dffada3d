"""The commands of the `cellblock` program, a module each; `cellblock.cli` finds them by name and imports the one that is asked for."""
