"""A node whose network is cut while it and the database live: a namespace of the network with a wire that is pulled."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from cluster_processes import ClusterProcess, RunningCluster
from running_server import ServedSession, until
from wires import THERE, Wire, pulled_wire

PROBED_SECONDS = 20  # TCP's own probes find the cut, and some for a busy machine

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip (apt install iproute2)"),
    pytest.mark.slow,
]


@pytest.fixture
def wire() -> Iterator[Wire]:
    with pulled_wire() as made:
        yield made


@pytest.fixture
def far(running: RunningCluster, wire: Wire) -> Iterator[ClusterProcess]:
    """A node at the other end; its beats reach the database by a socket that no wire carries."""
    (node,) = running.cluster.start_nodes("far", within=["ip", "netns", "exec", wire.namespace], host=THERE)
    yield node
    running.cluster.nodes.remove(node)
    node.stop()


def test_call_over_a_cut_wire_ends_and_the_session_goes_on_when_it_is_mended(
    running: RunningCluster, wire: Wire, far: ClusterProcess
) -> None:  # fmt: skip
    session = session_at_the_far_end(running)
    assert session.printed("x = 42; print(x)") == "42"
    with ThreadPoolExecutor() as pool:
        call = pool.submit(session.run, "open('begun', 'w').close(); import time; time.sleep(90)")
        until(lambda: "begun" in str(session.command("ls")["content"]))
        cut_at = time.monotonic()
        wire.cut()
        error = call.exception(timeout=60)
        assert isinstance(error, ClientError)
        assert error.response["Error"]["Code"] == "InternalServerException"
        assert "node far does not answer" in error.response["Error"]["Message"]
        assert time.monotonic() - cut_at < PROBED_SECONDS
    began = time.monotonic()
    refusal = session.refused("executeCode", language="python", code="1")
    assert (refusal["Error"]["Code"], time.monotonic() - began < 8) == ("InternalServerException", True)
    with running.session() as other:
        assert other.printed("print('elsewhere')") == "elsewhere"
    assert session.get()["status"] == "READY", "its node beats, so it lives"
    wire.mend()
    until(lambda: goes_on(session))
    session.end()


def session_at_the_far_end(running: RunningCluster) -> ServedSession:
    wanted = next(node.id for node in running.nodes() if node.name == "far")
    for _ in range(60):
        session = running.start()
        if session.id.endswith(wanted):
            return session
        session.end()
    raise AssertionError("no session came to the far node")


def goes_on(session: ServedSession) -> bool:
    """Whether the session answers, with what it had; the interrupted call may take its turn first."""
    try:
        return session.printed("print(x)") == "42"
    except ClientError:
        return False
