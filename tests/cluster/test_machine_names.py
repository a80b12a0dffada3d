"""Two machines of one name."""

from __future__ import annotations

from cellblock.cluster.machine_names import MachineNames


def test_machine_has_its_own_name() -> None:
    assert MachineNames().pick("id-000001", {"id-000001": "host", "id-000002": "other"}, 0.0) == "host"


def test_machine_that_came_back_gets_its_name_when_the_dead_one_is_found_dead() -> None:
    names = MachineNames()
    names.pick("id-000001", {"id-000001": "host"}, 0.0)
    assert names.pick("id-000002", {"id-000001": "host", "id-000002": "host"}, 100.0) is None
    assert names.pick("id-000002", {"id-000002": "host"}, 114.0) == "host"


def test_two_machines_that_stay_get_names_of_their_own() -> None:
    names, alive = MachineNames(), {"id-000001": "host", "id-000002": "host"}
    assert names.pick("id-000001", alive, 0.0) is None
    assert [names.pick(machine, alive, 30.0) for machine in alive] == ["host-000001", "host-000002"]
