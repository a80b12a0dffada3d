"""Sessions that do not fit bring a machine of Ray's autoscaler, and an idle one goes; its provider of pretended machines is Ray's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster_processes import RunningCluster, cluster
from postgres_server import PostgresServer
from ray_machines import RayMachines, RayNode, autoscaler_variables, fake_autoscaler, ray_machines
from running_server import ServedSession, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BOUND_SECONDS = 120


@pytest.fixture
def machines() -> Iterator[RayMachines]:
    with ray_machines() as made:
        yield made


def raylets(head: RayNode) -> int:
    return len(head.pids("/raylet/raylet "))


def started(running: RunningCluster, token: str) -> ServedSession | None:
    """A session, or nothing while there is no room; who asks again with the same token wants one more and not many."""
    try:
        return running.start(clientToken=token * 40)
    except running.data.exceptions.ThrottlingException:
        return None


def test_machine_comes_for_sessions_that_do_not_fit_and_goes_when_it_is_idle(
    machines: RayMachines, database: PostgresServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = fake_autoscaler(machines.base / "autoscaler.json", machines.address, most=1, idle_minutes=0.05)
    head = machines.start_head("--autoscaling-config", str(configuration), **autoscaler_variables())
    machines.add("m1")
    for name, value in machines.variables().items():
        monkeypatch.setenv(name, value)
    settings = {"cluster": "ray", "ray_address": machines.address, "node_sessions": 1, "node_idle_seconds": 2}
    with cluster(tmp_path_factory.mktemp("scaled"), database.url(), **settings) as made:
        made.start_front_ends("f1")
        running = RunningCluster.before(made)
        until(running.nodes, seconds=BOUND_SECONDS)
        first = until(lambda: started(running, "a"), seconds=BOUND_SECONDS)
        assert raylets(head) == 1
        second = until(lambda: started(running, "b"), seconds=BOUND_SECONDS)
        assert second.id[26:] != first.id[26:]
        assert raylets(head) == 2
        second.end()
        until(lambda: raylets(head) == 1, seconds=BOUND_SECONDS)
        assert [node.name for node in running.nodes()] == ["m1"]
        assert first.printed("print(1)") == "1"
        first.end()
