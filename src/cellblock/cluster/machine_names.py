"""What the node of a machine is called when several machines have one name."""

from __future__ import annotations

from collections.abc import Mapping

GONE_SECONDS = 30.0  # Ray takes so long at most to see that a machine is dead whose successor is here already


class MachineNames:
    """Nodes of one name end each other, as the lives of one machine; so a name is given twice only when its first owner is gone."""

    def __init__(self) -> None:
        self._first_seen: dict[str, float] = {}

    def pick(self, machine: str, names: Mapping[str, str], time: float) -> str | None:
        """Of one of the machines that are alive, by id; None while another one may be about to be found dead."""
        self._first_seen = {one: self._first_seen.get(one, time) for one in names}
        name = names[machine]
        if list(names.values()).count(name) == 1:
            return name
        return f"{name}-{machine[-6:]}" if time - self._first_seen[machine] >= GONE_SECONDS else None
