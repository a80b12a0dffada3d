"""The way from the agent's memory group into the user's: every process that the agent starts takes it before it does anything else.

The agent itself never goes through, not for a moment: a process that allocates in a group which is full may be the one that is killed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SHELL = "/bin/bash"
_PASS_ON = 'exec "$@"'
_SCRIPT = str(Path(__file__).with_name("enter.sh"))
_DESCRIPTOR = 9  # the script's


@dataclass(frozen=True, slots=True)
class Program:
    """What is executed, with its descriptors by their numbers there."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    descriptors: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Entrance:
    """A descriptor on which a process writes 0 to change groups; None where there are no groups."""

    descriptor: int | None = None

    def take(self) -> None:
        """In a forked child. Raises OSError."""
        if self.descriptor is not None:
            os.write(self.descriptor, b"0")

    def lead(self, program: Program) -> Program:
        """The same program, entering first: bash reads the script at its start, which costs a tenth of a fork of this process."""
        if self.descriptor is None:
            return program
        through = () if program.arguments[0] == SHELL else (SHELL, "-c", _PASS_ON, SHELL)
        return Program(
            arguments=(*through, *program.arguments),
            environment={**program.environment, "BASH_ENV": _SCRIPT},
            descriptors={**program.descriptors, _DESCRIPTOR: self.descriptor},
        )


NO_ENTRANCE = Entrance()
