"""Ray runs a node on each of its machines; what dies there is noticed, ended, and started again."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from cluster_processes import RunningCluster, cluster
from postgres_server import PostgresServer
from ray_machines import RayMachines, RayNode, ray_machines
from running_server import ServedSession, until
from wires import pulled_wire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LOST_SECONDS = 5
BOUND_SECONDS = 40
READY_SECONDS = 90


@dataclass
class OnRay:
    """Two machines of Ray besides the head, and two front ends."""

    machines: RayMachines
    running: RunningCluster

    def wait_for(self, *names: str) -> None:
        """Until these nodes take sessions."""
        until(lambda: {node.name for node in self.running.nodes()} == set(names), seconds=READY_SECONDS)

    def session_on(self, name: str) -> ServedSession:
        """A session on that node."""
        for _ in range(50):
            session = self.running.start()
            if session.id[26:] == self.node_id(name):
                return session
            session.end()
        raise AssertionError(f"nothing was placed on {name}")

    def node_id(self, name: str) -> str:
        """Of the node that runs there; nothing while none does."""
        return next((node.id for node in self.running.nodes() if node.name == name), "")

    def ids(self) -> set[str]:
        """Of all nodes."""
        return {node.id for node in self.running.nodes()}

    def machine(self, name: str) -> RayNode:
        """A machine of Ray."""
        return next(node for node in self.machines.nodes if node.name == name)

    def kill_actor(self, name: str) -> None:
        """With SIGKILL."""
        (pid,) = self.machine(name).pids("ray::NodeActor")
        os.kill(pid, signal.SIGKILL)


def head_variables(machines: RayMachines) -> dict[str, str]:
    """What makes a head remember, after its end, whom it had, and find a machine that is cut off in ten seconds instead of sixty."""
    health = {"RAY_health_check_period_ms": "1000", "RAY_health_check_timeout_ms": "1500", "RAY_health_check_failure_threshold": "4"}
    return health | {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(machines.base / "state")}


@pytest.fixture(scope="module")
def on_ray(database: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnRay]:
    with ray_machines() as machines, pytest.MonkeyPatch.context() as patch:
        machines.start_head(**head_variables(machines))
        machines.add("m1")
        machines.add("m2")
        for name, value in (machines.variables() | {"RAY_gcs_rpc_server_reconnect_timeout_s": "3"}).items():
            patch.setenv(name, value)  # of the launchers; Ray's own processes wait for a minute
        place = tmp_path_factory.mktemp("on-ray")
        settings = {"cluster": "ray", "ray_address": machines.address, "node_sessions": 20, "node_lost_seconds": LOST_SECONDS}
        with cluster(place, database.url(), **settings) as made:
            made.start_front_ends("f1", "f2")
            on_ray = OnRay(machines, RunningCluster.before(made))
            on_ray.wait_for("m1", "m2")
            yield on_ray


def test_ray_runs_a_node_on_each_machine(on_ray: OnRay) -> None:
    for name in ("m1", "m2"):
        session = on_ray.session_on(name)
        assert session.printed("print(6 * 7)") == "42"
        session.end()


def test_killed_actor_ends_its_sessions_and_another_node_follows(on_ray: OnRay) -> None:
    session, before = on_ray.session_on("m1"), on_ray.node_id("m1")
    on_ray.kill_actor("m1")
    until(lambda: session.get()["status"] == "TERMINATED", seconds=BOUND_SECONDS)
    with on_ray.running.session() as elsewhere:
        assert elsewhere.printed("print(1)") == "1"
    until(lambda: on_ray.node_id("m1") not in ("", before), seconds=READY_SECONDS)
    on_ray.session_on("m1").end()


def test_call_on_a_killed_node_ends_with_an_error_and_does_not_hang(on_ray: OnRay) -> None:
    session, before = on_ray.session_on("m2"), on_ray.node_id("m2")
    session.printed("x = 1")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(session.refused, "executeCode", language="python", code="open('at-work', 'w'); import time; time.sleep(90)")
        until(lambda: "at-work" in session.command("ls")["structuredContent"]["stdout"])
        on_ray.kill_actor("m2")
        error = call.result(BOUND_SECONDS)["Error"]
    assert error["Code"] == "InternalServerException", error
    assert "node m2" in error["Message"], error
    until(lambda: on_ray.node_id("m2") not in ("", before), seconds=READY_SECONDS)
    assert "it ended" in session.refused("executeCode", language="python", code="1")["Error"]["Message"]


def test_sessions_of_a_killed_raylet_end_and_new_ones_go_elsewhere(on_ray: OnRay) -> None:
    session = on_ray.session_on("m2")
    machine = on_ray.machine("m2")
    (raylet,) = machine.pids("/raylet/raylet ")
    os.kill(raylet, signal.SIGKILL)
    until(lambda: session.get()["status"] == "TERMINATED", seconds=BOUND_SECONDS)
    on_ray.wait_for("m1")
    with on_ray.running.session() as elsewhere:
        assert elsewhere.id[26:] == on_ray.node_id("m1")
    machine.kill()
    on_ray.machines.nodes.remove(machine)
    on_ray.machines.add("m2")
    on_ray.wait_for("m1", "m2")


@pytest.mark.root
@pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip (apt install iproute2)")
def test_machine_whose_network_is_cut_is_over_by_rays_word(on_ray: OnRay) -> None:
    """Its node still reaches the database, by a socket that no wire carries: nothing but Ray knows."""
    with pulled_wire() as wire:
        far = on_ray.machines.add("far", within=["ip", "netns", "exec", wire.namespace])
        on_ray.wait_for("m1", "m2", "far")
        session = on_ray.session_on("far")
        assert session.printed("print(4)") == "4"
        wire.cut()
        until(lambda: session.get()["status"] == "TERMINATED", seconds=BOUND_SECONDS)
        reasons = [node.end_reason or "" for node in on_ray.running.nodes(with_ended=True) if node.name == "far"]
        assert any("Ray took its machine for dead" in reason for reason in reasons)
        with on_ray.running.session() as elsewhere:
            assert elsewhere.printed("print(5)") == "5"
        far.kill()
        on_ray.machines.nodes.remove(far)
    on_ray.wait_for("m1", "m2")


def test_front_end_that_is_killed_loses_no_node_and_another_follows_it(on_ray: OnRay) -> None:
    before = {node.id for node in on_ray.running.nodes()}
    made = on_ray.running.cluster
    session = on_ray.session_on("m1")
    made.front_ends.pop(0).kill()
    made.start_front_ends("f3")
    on_ray.running = RunningCluster.before(made)
    again = ServedSession(on_ray.running, on_ray.running.data, session.interpreter, session.id)
    assert again.printed("print(2)") == "2"
    again.end()
    on_ray.kill_actor("m1")  # which the other one sees
    until(lambda: {node.name for node in on_ray.running.nodes()} == {"m1", "m2"} and before - on_ray.ids(), seconds=READY_SECONDS)


def nodes_seen(on_ray: OnRay) -> int:
    """How often a launcher has found a node running: whichever acts for all does so anew when it finds Ray again."""
    return sum(one.log().count('"event":"node runs"') for one in on_ray.running.cluster.front_ends)


def test_head_that_ends_and_comes_back_costs_no_call_and_no_node(on_ray: OnRay) -> None:
    session, before = on_ray.session_on("m1"), on_ray.ids()
    session.printed("x = 21")
    head = on_ray.machine("head")
    head.kill()
    on_ray.machines.nodes.remove(head)
    launched = on_ray.running.cluster.front_ends[0]
    until(lambda: '"event":"the launcher ended' in launched.log(), seconds=READY_SECONDS)
    assert session.printed("print(x * 2)") == "42"
    with on_ray.running.session() as begun:
        assert begun.printed("print(3)") == "3"
    seen = nodes_seen(on_ray)
    on_ray.machines.start_head(**head_variables(on_ray.machines))
    until(lambda: nodes_seen(on_ray) > seen, seconds=READY_SECONDS)
    assert on_ray.ids() == before
    assert session.printed("print(x)") == "21"
    session.end()
